import type { Ledger, PointRow } from '../../ledger/ledger.js';
import { reportLists } from '../../queue/keys.js';
import { look } from '../../queue/look.js';
import { decodeTravel, Malformed } from '../../queue/messages.js';
import { Rebuilding } from '../../queue/rebuilding.js';
import { newGeneration } from '../../queue/server.js';
import { pause } from '../../support/bell.js';
import { nextReports, settle } from '../client/settling.js';
import type { Member } from '../common/member.js';
import { type Origin, originOf } from '../common/origin.js';
import { elementsOf, legible, missingProposals } from '../common/proposals.js';

const chunk = 1000;
const settlePauseMs = 100;

/**
 * Makes Redis whole from SQL, as a new generation. First all reports that Redis still holds go to SQL, so that SQL alone tells
 * everything; then the live rows make main_Q, all rows the seen set, and what stable rows propose without a row main_sql_Q.
 * Leases that still stand are kept. False: another master is at it, or has been since the generation `seen` was.
 */
export async function rebuild(member: Member, ledger: Ledger, reason: string, seen: string | undefined) {
  const rebuilding = await Rebuilding.begin(member.session, member.search.leaseMs);
  if (!rebuilding) return false;
  try {
    if ((await rebuilding.standing()) !== seen) return false;
    await ledger.open();
    const origin = await originOf(member.session, ledger);
    const since = performance.now();
    member.log.info(`making Redis whole from SQL: ${reason}`);
    await rebuilding.suspend();
    await settleAll(member, ledger);
    const forget = await enterRows(rebuilding, member, ledger, origin);
    await proposeAside(rebuilding, member, origin);
    const found = await proposeNeighbours(rebuilding, member, ledger);
    const generation = newGeneration(ledger.incarnation, await member.session.server());
    await ledger.setGeneration(generation);
    await rebuilding.publish(generation, member.search.definition, member.search.leaseMs, forget);
    const seconds = (performance.now() - since) / 1000;
    member.log.info({ seconds, ...found }, 'the search is open');
    return true;
  } finally {
    await rebuilding.end();
  }
}

/**
 * Brings every report into SQL; none comes after, as no generation stands. Waits for other clients' batches; those of
 * masters may outlast the rebuild, as their admission is repeatable.
 */
async function settleAll(member: Member, ledger: Ledger): Promise<void> {
  for (;;) {
    const table = ledger.incarnation;
    for (const batch of await nextReports(member, chunk)) await settle(member, ledger, batch, table);
    const { lists, batches } = await look(member.session);
    const waiting = reportLists.reduce((total, list) => total + lists[list], 0);
    const taken = reportLists.some((list) => batches[list] !== undefined);
    if (waiting === 0 && !taken) return;
    if (waiting === 0) await pause(settlePauseMs, member.stop.quiet);
    member.stop.quiet.throwIfAborted();
  }
}

/** Fills the seen set and main_Q; answers the tokens of leases whose points are settled, or that are not known to be of this table. */
async function enterRows(rebuilding: Rebuilding, member: Member, ledger: Ledger, origin: Origin): Promise<string[]> {
  const leases = new Map<string, string>();
  const forget: string[] = [];
  for (const [token, element] of Object.entries(await rebuilding.leased())) {
    if (origin === 'this') leases.set(element.split(';', 1)[0] as string, token);
    else forget.push(token);
  }
  for await (const rows of ledger.rows()) {
    for (let from = 0; from < rows.length; from += chunk) {
      await rebuilding.markSeen(rows.slice(from, from + chunk).map(({ hash }) => hash));
    }
    const live: PointRow[] = [];
    for (const row of rows) {
      const token = leases.get(row.code);
      if (row.state === 'completed' || row.state === 'error') {
        if (token !== undefined) forget.push(token);
      } else if (token === undefined) {
        live.push(row);
      }
    }
    const elements = [...(await elementsOf(ledger, legible(live, member))).values()];
    for (let from = 0; from < elements.length; from += chunk) {
      await rebuilding.enqueue(elements.slice(from, from + chunk));
    }
  }
  return forget;
}

/** Takes up the roots that waited, known nowhere else; not those of another table. What stable points propose, their rows tell. */
async function proposeAside(rebuilding: Rebuilding, member: Member, origin: Origin): Promise<void> {
  for await (const elements of rebuilding.aside()) {
    for (const element of elements) {
      try {
        const { point, facts } = decodeTravel(element, member.search.space);
        if (facts.previous_hash !== undefined) continue;
        if (origin === 'another') await rebuilding.keepForeign([element]);
        else await rebuilding.propose([{ hash: point.hash, element }], null);
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        await rebuilding.returnRaw([element]);
      }
    }
  }
}

async function proposeNeighbours(rebuilding: Rebuilding, member: Member, ledger: Ledger) {
  const { space, maxPoints } = member.search;
  let stable = 0;
  let proposed = 0;
  for await (const rows of ledger.rows({ state: 'completed', stable: true })) {
    stable += rows.length;
    const proposals = await missingProposals(legible(rows, member), space, (hashes) => rebuilding.known(hashes));
    for (let from = 0; from < proposals.length; from += chunk) {
      proposed += await rebuilding.propose(proposals.slice(from, from + chunk), maxPoints);
    }
  }
  return { stable, proposed };
}
