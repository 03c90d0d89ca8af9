import { formatNumber } from '../space/decimal.js';
import { NotAPoint, type Parameter, Space, type SpaceDefinition } from '../space/space.js';
import { type Problem, show } from './explain.js';
import { parameterEntry } from './schema.js';

/** Neighbours that one stable point may propose at most: they travel in one message. */
const neighboursAllowed = 20_000;

/** A code holds 512 characters at most, a number and its comma up to 25. */
const parametersAllowed = 20;

/** Columns of the table that are not parameters. */
const tableColumns = new Set(
  (
    'hash code previous_hash depth state stable attempts worker queued_at start_time end_time run_time ' +
    'error_kind error_msg complete_msg out_path temperature pressure outputs'
  ).split(' '),
);

const namePattern = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;

/** The rules that a schema of single values cannot say. Looks at the entries that are well formed by themselves. */
export function parameterProblems(block: unknown): Problem[] {
  if (typeof block !== 'object' || block === null || Array.isArray(block)) return [];
  const entries = Object.entries(block);
  const parameters = entries.flatMap(([name, value]): Parameter[] => {
    const { success, data } = parameterEntry.safeParse(value);
    return success ? [{ name, ...data }] : [];
  });
  const hasFiller = parameters.some(({ filler }) => filler);
  const problems = [
    ...countProblems(entries.length),
    ...nameProblems(entries.map(([name]) => name)),
    ...parameters.flatMap((parameter) =>
      parameter.filler ? fillerProblems(parameter) : axisProblems(parameter, hasFiller),
    ),
    ...secondFillers(parameters),
  ];
  return problems.length > 0 || parameters.length < entries.length ? problems : sumProblems(parameters);
}

/** Refuses a search in which a point has more neighbours than one message carries. */
export function neighbourProblems({ parameters, mode, reach }: SpaceDefinition): Problem[] {
  const axes = parameters.filter(({ step }) => step?.some(({ by }) => by > 0)).length;
  const neighbours = mode === 'sides' ? axes * 2 * reach : (2 * reach + 1) ** axes - 1;
  if (neighbours <= neighboursAllowed) return [];
  const found = `${neighbours} neighbours a point (${mode}, reach ${reach}, ${axes} parameters with a step)`;
  return [{ path: ['search'], message: `found ${found}, wants at most ${neighboursAllowed}` }];
}

function countProblems(count: number): Problem[] {
  if (count >= 1 && count <= parametersAllowed) return [];
  return [{ path: ['parameters'], message: `found ${count} parameters, wants 1 to ${parametersAllowed}` }];
}

function nameProblems(names: readonly string[]): Problem[] {
  return names.flatMap((name, index) => {
    const folded = name.toLowerCase();
    const twin = names.slice(0, index).find((other) => other.toLowerCase() === folded);
    const wanted = wantedName(name, folded, twin);
    return wanted ? [{ path: ['parameters', name], message: `found the name ${show(name)}, wants ${wanted}` }] : [];
  });
}

function wantedName(name: string, folded: string, twin: string | undefined): string | undefined {
  if (!namePattern.test(name)) return 'letters, digits and _, 64 at most, a letter first';
  if (tableColumns.has(folded)) return 'a name that is no column of the table already';
  return twin === undefined ? undefined : `a name that differs from ${twin} by more than case`;
}

function secondFillers(parameters: readonly Parameter[]): Problem[] {
  const [first, ...others] = parameters.filter(({ filler }) => filler);
  return others.map(({ name }) => ({
    path: ['parameters', name, 'filler'],
    message: `found a second filler, wants one at most: ${first?.name} is the filler already`,
  }));
}

function fillerProblems(filler: Parameter): Problem[] {
  return (['step', 'min', 'max'] as const)
    .filter((key) => filler[key] !== undefined)
    .map((key) => ({
      path: ['parameters', filler.name, key],
      message: `found ${show(filler[key])}, wants none: a filler takes what the others leave`,
    }));
}

function axisProblems(parameter: Parameter, hasFiller: boolean): Problem[] {
  const {
    name,
    start = Number.NaN,
    step = [],
    min = Number.NEGATIVE_INFINITY,
    max = Number.POSITIVE_INFINITY,
  } = parameter;
  const problems: Problem[] = [];
  const refuse = (key: string, message: string) => problems.push({ path: ['parameters', name, key], message });
  if (parameter.start === undefined) refuse('start', 'is missing, wants the value of the trusted point');
  if (hasFiller) {
    for (const key of ['start', 'min', 'max'] as const) {
      const value = parameter[key] ?? 0;
      if (value < 0 || value > 1) refuse(key, `found ${value}, wants a concentration from 0 to 1`);
    }
  }
  if (min > max) refuse('min', `found ${min}, wants at most max, which is ${max}`);
  else if (start < min) refuse('start', `found ${start}, wants at least min, which is ${min}`);
  else if (start > max) refuse('start', `found ${start}, wants at most max, which is ${max}`);
  const first = step.find(({ below }) => start < below) ?? step.at(-1);
  if (
    first &&
    parameter.max === undefined &&
    !hasFiller &&
    Number.isFinite(start) &&
    !Number.isFinite(start + first.by)
  ) {
    refuse(
      'step',
      `found ${first.by}, wants a step that does not lead out of the range of doubles from the start ${start}`,
    );
  }
  for (const [index, { below }] of step.entries()) {
    const before = step[index - 1]?.below;
    if (before !== undefined && below <= before)
      problems.push({
        path: ['parameters', name, 'step', index, 'below'],
        message: `found ${below}, wants over ${before}: bins ascend`,
      });
  }
  return problems;
}

function sumProblems(parameters: readonly Parameter[]): Problem[] {
  const filler = parameters.find((parameter) => parameter.filler);
  if (!filler) return [];
  try {
    const left = formatNumber(
      new Space({ parameters, mode: 'sides', reach: 1 }).start.dictionary[filler.name] as number,
    );
    if (filler.start === undefined || formatNumber(filler.start) === left) return [];
    const message = `found ${formatNumber(filler.start)}, wants ${left}, which the other starts leave of 1 (or no start)`;
    return [{ path: ['parameters', filler.name, 'start'], message }];
  } catch (error) {
    if (!(error instanceof NotAPoint)) throw error;
    const total = parameters.reduce((sum, { filler, start = 0 }) => sum + (filler ? 0 : start), 0);
    return [
      {
        path: ['parameters'],
        message: `found starts that sum to ${total}, wants at most 1: ${filler.name} takes the rest`,
      },
    ];
  }
}
