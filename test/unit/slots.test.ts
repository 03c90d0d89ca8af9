import { describe, expect, it } from 'vitest';
import type { Cell } from '../../src/sandboxes/sandbox.js';
import { type KeptCell, Slots } from '../../src/sandboxes/slots.js';
import { MachineFault } from '../../src/support/errors.js';

/** Slots whose cells can be neither settled nor ended while `away` is true. */
function slots() {
  const engine = { away: false };
  const made: (KeptCell & { usable: boolean; ended: boolean })[] = [];
  const answer = async () => {
    if (engine.away) throw new MachineFault('no engine answers');
  };
  const make = async (): Promise<KeptCell> => {
    const cell = {
      ...({ directory: '/' } as Cell),
      usable: true,
      ended: false,
      isIntact: async () => true,
      settle: () => answer().then(() => true),
      end: async () => {
        await answer();
        cell.ended = true;
      },
    };
    made.push(cell);
    return cell;
  };
  return { engine, made, slots: new Slots(make) };
}

describe('the slots of a sandbox', () => {
  const runs = async () => 'outcome';
  const fails = () => Promise.reject(new Error('bad run'));

  it.each([
    ['settling', runs],
    ['ending', async (cell: Cell) => Object.assign(cell, { usable: false }) && 'outcome'],
  ])('keep the outcome of a run where %s its cell fails, and tell the next use', async (_, work) => {
    const { engine, made, slots: of } = slots();
    engine.away = true;
    expect(await of.use(0, work)).toBe('outcome');
    await expect(of.use(0, runs)).rejects.toThrow(MachineFault);
    engine.away = false;
    expect(await of.use(0, runs)).toBe('outcome');
    expect(made).toHaveLength(2);
  });

  it('keep the error of a run where ending its cell fails, and tell the next use, of whatever slot', async () => {
    const { engine, slots: of } = slots();
    engine.away = true;
    await expect(of.use(0, fails)).rejects.toThrow('bad run');
    await expect(of.use(1, runs)).rejects.toThrow(MachineFault);
    engine.away = false;
    expect(await of.use(1, runs)).toBe('outcome');
  });

  it.each([
    [
      'without a cell',
      true,
      async (engine: { away: boolean }, of: Slots) => {
        engine.away = true;
        await of.use(0, runs);
        return of.use(0, runs);
      },
    ],
    ['the run itself', false, (_: unknown, of: Slots) => of.use(0, () => Promise.reject(new MachineFault('no disk')))],
  ])('tell whether a fault came before the run: %s', async (_, beforeRun, act) => {
    const { engine, slots: of } = slots();
    await expect(act(engine, of)).rejects.toMatchObject({ name: 'MachineFault', beforeRun });
  });

  it('replace a cell that ended while nobody used it', async () => {
    const { made, slots: of } = slots();
    await of.use(0, runs);
    await of.use(0, runs);
    expect(made).toHaveLength(1);
    Object.assign(made[0] ?? {}, { usable: false });
    await of.use(0, runs);
    expect(made.map(({ ended }) => ended)).toEqual([true, false]);
  });

  it('have another cell ready before the next use where one cannot be cleared', async () => {
    const { made, slots: of } = slots();
    await of.use(0, async (cell) => Object.assign(cell, { settle: async () => false }));
    await expect.poll(() => made.map(({ ended }) => ended)).toEqual([true, false]);
    await of.use(0, async (cell) => expect(cell).toBe(made[1]));
    expect(made).toHaveLength(2);
  });

  it('can be closed while their cells cannot be ended', async () => {
    const { engine, slots: of } = slots();
    await of.use(0, runs);
    engine.away = true;
    await of.close();
  });
});
