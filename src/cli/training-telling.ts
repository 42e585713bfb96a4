/**
 * Three ways to tell about a training run: a live view for a person (training-view.ts draws it), a plain line now and then for a log,
 * JSON Lines for a program. With --json a person at the terminal still sees the live view, on standard error.
 */
import type { Engine } from "../engine/engine.ts";
import type { TrainSettings } from "../training/settings.ts";
import type { TokenData } from "../training/token-list.ts";
import type { TrainEnd, TrainEvent } from "../training/training.ts";
import type { Output } from "./io.ts";
import { finiteFields } from "./json.ts";
import type { RunLine } from "./json.ts";
import { counted, duration, grouped, rate } from "./numbers.ts";
import type { Session } from "./session.ts";
import type { Figures } from "./training-figures.ts";
import { sampleLine, sampleLines } from "./training-sample.ts";
import type { Sample } from "./training-sample.ts";
import { fixed, LiveView } from "./training-view.ts";
import { foldWords } from "./width.ts";

export interface TrainTelling {
  begin(run: RunLine): Promise<void>;
  event(event: TrainEvent): Promise<void>;
  /** Between two steps. */
  sample(sample: Sample, engine: Engine): Promise<void>;
  /** What is going on that is no step; "" when it is over. */
  doing(what: string): Promise<void>;
  end(): Promise<void>;
}

/** The one that suits who listens. `figures` have every event before it is told. */
export function trainTelling(session: Session, figures: Figures, asJson: boolean, now?: () => number): TrainTelling {
  const { out, talk } = session;
  if (!asJson) return out.terminal.isTTY ? liveTelling(out, figures, now) : lineTelling(out, figures, now);
  const live = talk.terminal.isTTY && !out.terminal.isTTY;
  return together([jsonTelling(out), ...(live ? [liveTelling(talk, figures, now)] : [])]);
}

function liveTelling(output: Output, figures: Figures, now?: () => number): TrainTelling {
  const { terminal } = output;
  const view = new LiveView(output, figures, now);
  return {
    begin: async (run) => {
      await view.print(
        headLines(run)
          .flatMap((text) => foldWords(text, terminal.columns() - 1))
          .map((text) => terminal.paint.dim(text)),
      );
    },
    event: async (event) => {
      if (event.type === "warning") await view.print(foldWords(warningText(event), terminal.columns() - 1));
      else await view.update(event.type !== "step");
    },
    sample: (sample, engine) => view.print(sampleLines(sample, engine, terminal, terminal.columns())),
    doing: (what) => view.doing(what),
    end: () => view.end(),
  };
}

/** Some forty lines a run, and one at least every half minute. */
const linesOfRun = 40;
const longestSilence = 30_000;

function lineTelling(out: Output, figures: Figures, now: () => number = () => performance.now()): TrainTelling {
  const every = roundUp(figures.steps / linesOfRun);
  let told = now();
  const at = (step: number): string => `step ${grouped(step)} of ${grouped(figures.steps)}`;
  return {
    begin: async (run) => {
      for (const text of headLines(run)) await out.line(text);
    },
    event: async (event) => {
      if (event.type === "step") {
        const { step } = event;
        if (step % every !== 0 && step !== 1 && step !== figures.steps && now() - told < longestSilence) return;
        told = now();
        const left = figures.secondsLeft ?? 0;
        const parts = [
          `loss ${figures.smoothedLoss?.toFixed(3)} (now ${event.loss.toFixed(3)})`,
          `learning rate ${Number(event.learningRate.toPrecision(3))}`,
          `gradient norm ${fixed(event.gradientNorm)}`,
          `${rate(figures.tokensPerSecond ?? 0)} tokens/s`,
          ...(step < figures.steps ? [`${duration(left)} left`] : []),
        ];
        await out.line(`${at(step)}: ${parts.join(", ")}`);
      } else if (event.type === "evaluation") {
        const best = event.best ? ", the best so far" : "";
        await out.line(`${at(event.step)}: validation loss ${event.validationLoss.toFixed(3)}, training ${event.trainLoss.toFixed(3)}${best}`);
      } else if (event.type === "saved") await out.line(`${at(event.step)}: saved${event.best ? ", also as the best" : ""}`);
      else if (event.type === "warning") await out.line(warningText(event));
    },
    sample: async (sample, engine) => {
      for (const text of [...sampleLines(sample, engine, out.terminal, out.terminal.columns()), ""]) await out.line(text);
    },
    doing: async () => {},
    end: async () => {},
  };
}

/** 1, 2, 5, 10, 20, 50 ...: the first that is at least `least`. */
function roundUp(least: number): number {
  const power = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, least))));
  return [1, 2, 5, 10].map((part) => part * power).find((candidate) => candidate >= least) ?? 10 * power;
}

function jsonTelling(out: Output): TrainTelling {
  const write = (line: object): Promise<void> => out.line(JSON.stringify(finiteFields(line)));
  return { begin: write, event: write, sample: (sample, engine) => write(sampleLine(sample, engine)), doing: async () => {}, end: async () => {} };
}

function together(tellings: readonly TrainTelling[]): TrainTelling {
  const all = async (tell: (telling: TrainTelling) => Promise<void>): Promise<void> => {
    for (const telling of tellings) await tell(telling);
  };
  return {
    begin: (run) => all((telling) => telling.begin(run)),
    event: (event) => all((telling) => telling.event(event)),
    sample: (sample, engine) => all((telling) => telling.sample(sample, engine)),
    doing: (what) => all((telling) => telling.doing(what)),
    end: () => all((telling) => telling.end()),
  };
}

/** What will be trained, on what, with what. */
function headLines(run: RunLine): string[] {
  const through = (run.steps * run.tokensPerStep) / Math.max(1, run.trainTokens);
  const checked = run.validationTokens > 0 ? `, ${grouped(run.validationTokens)} to check on` : "";
  return [
    `${run.architecture}: ${counted(run.layers, "layer")}, ${counted(run.heads, "head")}, width ${run.width}, context ${grouped(run.context)}, vocabulary ${grouped(run.vocabulary)}: ${grouped(run.weights)} weights`,
    `${grouped(run.trainTokens)} tokens to learn from${checked}; ${grouped(run.tokensPerStep)} a step, ${through < 9.95 ? through.toFixed(1) : grouped(Math.round(through))} times through in all`,
    `${run.device}, seed ${run.seed}${run.from > 0 ? `; going on after step ${grouped(run.from)}` : ""}`,
  ];
}

function warningText({ step, message }: { readonly step: number; readonly message: string }): string {
  return `step ${grouped(step)}: ${message}`;
}

/** The last words: how long, how good, where. */
export function endText({ step, tokens, seconds }: TrainEnd, { bestValidation }: Figures, out: string): string {
  const here = `${grouped(tokens)} tokens in ${duration(seconds)}`;
  const best = bestValidation === undefined ? "" : `, validation loss ${bestValidation.toFixed(3)} at best`;
  return `${counted(step, "step")}, ${here}${best}; the model is in ${out}`;
}

/** What a run begins with, for `begin`. `from` = steps taken before this sitting. */
export function runLine(
  out: string,
  { info }: Engine,
  { train, validation }: { readonly train: TokenData; readonly validation: TokenData | undefined },
  options: TrainSettings,
  from: number,
): RunLine {
  return {
    type: "run",
    out,
    architecture: info.architecture,
    layers: info.layers,
    heads: info.heads,
    width: info.width,
    context: options.context,
    vocabulary: info.vocabularySize,
    weights: info.parameters,
    trainTokens: train.tokens.length,
    validationTokens: validation?.tokens.length ?? 0,
    tokensPerStep: options.batch * options.accumulate * options.context,
    steps: options.steps,
    from,
    device: info.device,
    seed: options.seed,
  };
}

/** Says at once that Ctrl-C was heard: a step may take seconds. Gives the function that stops listening. */
export function sayWhenStopped({ stop }: Session, telling: TrainTelling): () => void {
  const say = (): void => void telling.doing("finishing this step, then saving; Ctrl-C again quits at once");
  stop.addEventListener("abort", say, { once: true });
  return () => stop.removeEventListener("abort", say);
}
