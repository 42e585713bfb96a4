/**
 * How every bench measures and speaks. Contenders take turns in interleaved rounds, so that a slow minute of the machine hurts all alike;
 * a turn in which other programs used more than 12 % of a core is thrown away and repeated, as far as patience goes.
 * Medians with the 10th and 90th percentile in a table for people, then one line of JSON for programs.
 */
import { commit, hasFlag, machineInfo, numberOption, watchForeignLoad } from "./_machine.ts";

/** One measurement: a number for each metric. */
export type Sample = Readonly<Record<string, number>>;

export interface Contender {
  readonly name: string;
  /** Does the work once and says how fast it was. At least a few tenths of a second, or foreign load goes unseen. */
  measure(): Promise<Sample> | Sample;
}

export interface CompareOptions {
  /** Rounds wanted; `--rounds N` overrides. Default 7, with --quick 2. */
  readonly rounds?: number;
  /** Unmeasured turns of each contender first. Default 1. */
  readonly warmUp?: number;
  /** Silence before each turn in ms, so that the previous contender's threads have gone to sleep. Default 100. */
  readonly pause?: number;
}

/** Median, 10th and 90th percentile. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export interface Comparison {
  readonly contenders: readonly string[];
  /** Rounds behind the figures, oldest first: one sample per contender. */
  readonly samples: readonly (readonly Sample[])[];
  /** Measurements thrown away because other programs were busy. */
  readonly discarded: number;
  /** True when too few quiet rounds came and disturbed ones had to be kept. */
  readonly noisy: boolean;
  /** Median share of one core that others used in the rounds kept. */
  readonly foreignLoad: number;
}

/** Share of one core that other programs may use before a measurement no longer counts. */
const FOREIGN_LIMIT = 0.12;

/** NaN, where the system does not tell, passes as quiet: the table then says that nobody knows. */
const isNoisy = (foreign: number): boolean => foreign > FOREIGN_LIMIT;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One contender's turn: repeated at once, a few times, while others disturb it; the quietest attempt counts. */
interface Turn {
  readonly sample: Sample;
  readonly foreign: number;
  readonly attempts: number;
}

const ATTEMPTS_PER_TURN = 3;

/** Lets the contenders take turns. Tries up to twice the rounds wanted to get quiet ones, for at most `--patience` seconds (300). */
export async function compare(contenders: readonly Contender[], options: CompareOptions = {}): Promise<Comparison> {
  const quick = hasFlag("quick");
  const wanted = Math.max(1, numberOption("rounds", quick ? 2 : (options.rounds ?? 7)));
  const pause = options.pause ?? 100;
  for (let turn = 0; turn < (options.warmUp ?? 1); turn++) for (const contender of contenders) await contender.measure();

  const patience = performance.now() + 1000 * numberOption("patience", quick ? 0 : 300);
  const isPatient = (): boolean => performance.now() < patience;
  const rounds: { turns: Turn[]; foreign: number }[] = [];
  const quiet = (): typeof rounds => rounds.filter(({ foreign }) => !isNoisy(foreign));
  while (quiet().length < wanted && rounds.length < 2 * wanted && (rounds.length < Math.min(2, wanted) || isPatient())) {
    const turns: Turn[] = [];
    for (let place = 0; place < contenders.length; place++) {
      const index = (place + rounds.length) % contenders.length; // nobody always goes first
      turns[index] = await takeTurn(contenders[index], pause, isPatient);
    }
    rounds.push({ turns, foreign: Math.max(...turns.map(({ foreign }) => foreign)) });
  }
  const kept = quiet().length >= Math.min(3, wanted) ? quiet() : rounds;
  const measured = rounds.reduce((sum, { turns }) => sum + turns.reduce((attempts, turn) => attempts + turn.attempts, 0), 0);
  return {
    contenders: contenders.map(({ name }) => name),
    samples: kept.map(({ turns }) => turns.map(({ sample }) => sample)),
    discarded: measured - kept.length * contenders.length,
    noisy: kept.some(({ foreign }) => isNoisy(foreign)),
    foreignLoad: spread(kept.map(({ foreign }) => foreign)).median,
  };
}

async function takeTurn(contender: Contender, pause: number, isPatient: () => boolean): Promise<Turn> {
  let best: Turn | undefined;
  for (let attempts = 1; ; attempts++) {
    (globalThis as { gc?: () => void }).gc?.();
    await sleep(pause);
    const load = watchForeignLoad();
    const sample = await contender.measure();
    const foreign = load();
    best = best === undefined || foreign < best.foreign ? { sample, foreign, attempts } : { ...best, attempts };
    if (!isNoisy(foreign) || attempts === ATTEMPTS_PER_TURN || !isPatient()) return best;
  }
}

/** Median and percentiles, interpolated between neighbours. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
  };
  return { median: at(0.5), low: at(0.1), high: at(0.9) };
}

/** One contender's figures for one metric; undefined when it does not measure it. */
export function figures(comparison: Comparison, name: string, metric: string): Spread | undefined {
  const index = comparison.contenders.indexOf(name);
  const values = comparison.samples.map((round) => round[index]?.[metric]).filter((value) => value !== undefined);
  return values.length > 0 ? spread(values) : undefined;
}

/** `name` over `peer`, taken within each round and then summarised: what drifts between rounds falls out. */
export function ratio(comparison: Comparison, name: string, peer: string, metric: string, peerMetric: string = metric): Spread | undefined {
  const [ours, theirs] = [comparison.contenders.indexOf(name), comparison.contenders.indexOf(peer)];
  if (ours < 0 || theirs < 0) return undefined;
  const values = comparison.samples
    .filter((round) => metric in round[ours] && peerMetric in round[theirs])
    .map((round) => round[ours][metric] / round[theirs][peerMetric]);
  return values.length > 0 ? spread(values) : undefined;
}

export interface MetricColumn {
  readonly metric: string;
  /** Column heading with its unit: "prefill tok/s". */
  readonly title: string;
}

/** Prints one row per contender with all columns, and how many times `base` each is where a base is given. Says so when rounds were disturbed. */
export function showComparison(comparison: Comparison, columns: readonly MetricColumn[], base?: string): void {
  const baseColumns = base === undefined ? [] : columns.map(({ title }) => `${base} / it, ${title.split(" ")[0]}`);
  const rows = comparison.contenders.map((name) => [
    name,
    ...columns.map(({ metric }) => showSpread(figures(comparison, name, metric))),
    ...(base === undefined ? [] : columns.map(({ metric }) => (name === base ? "" : showSpread(ratio(comparison, base, name, metric))))),
  ]);
  showTable(["", ...columns.map(({ title }) => title), ...baseColumns], rows);
  const percent = (100 * comparison.foreignLoad).toFixed(0);
  const others = Number.isNaN(comparison.foreignLoad) ? "what others used is not known here" : `others used ${percent} % of a core`;
  console.log(
    `${comparison.samples.length} rounds, median (p10 - p90); ${comparison.discarded} disturbed measurements discarded; ${others}${comparison.noisy ? ": DISTURBED, do not quote" : ""}`,
  );
}

/** "123 (119 - 125)" with three significant digits; "-" for nothing. */
export function showSpread(values: Spread | undefined): string {
  if (values === undefined) return "-";
  return `${showNumber(values.median)} (${showNumber(values.low)} - ${showNumber(values.high)})`;
}

/** Three significant digits, thousands kept whole. */
export function showNumber(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return value.toPrecision(3);
}

/** Columns aligned by spaces; the first left, the others right. */
export function showTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
      .join("  ")
      .trimEnd();
  console.log(`\n${line(head)}`);
  console.log(widths.map((width) => "-".repeat(width)).join("  "));
  for (const row of rows) console.log(line(row));
}

/** The last line: everything a program needs to keep this run. */
export function finish(bench: string, results: unknown): void {
  console.log(`\n${JSON.stringify({ bench, machine: machineInfo(), date: new Date().toISOString(), commit: commit(), results })}`);
}

/** A spread with five digits, for JSON; null for nothing. */
export function spreadData(values: Spread | undefined): Spread | null {
  return values === undefined ? null : { median: round5(values.median), low: round5(values.low), high: round5(values.high) };
}

function round5(value: number): number {
  return Number(value.toPrecision(5));
}

/** A comparison as data: median, low and high of every contender and metric, rounded to five digits. */
export function comparisonData(comparison: Comparison): unknown {
  const metrics = [...new Set(comparison.samples.flatMap((round) => round.flatMap((sample) => Object.keys(sample))))];
  const contenders = Object.fromEntries(
    comparison.contenders.map((name) => [
      name,
      Object.fromEntries(
        metrics.flatMap((metric) => {
          const values = figures(comparison, name, metric);
          return values ? [[metric, spreadData(values)]] : [];
        }),
      ),
    ]),
  );
  const { discarded, noisy, foreignLoad } = comparison;
  return { rounds: comparison.samples.length, discarded, noisy, foreignLoad: Number(foreignLoad.toFixed(3)), contenders };
}
