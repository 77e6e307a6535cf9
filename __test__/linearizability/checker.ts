import { answered, effect, observes, reply, type Operation, type Value } from './operation.ts';
import { Violation } from './violation.ts';

/** How much there was to check. */
export interface Figures {
  operations: number;
  keys: number;
  /** Stretches of a key's history between two moments when no operation on it is open. */
  windows: number;
  /** Operations of the largest window. */
  largestWindow: number;
  /** Steps of the search. */
  explored: number;
  /** The most possibilities that were open at one moment. */
  widest: number;
}

/** The search for one answer is given up after this many steps: the history needs shorter bursts. */
const MOST_STEPS = 2_000_000;
/** The same where a failure is made smaller: a part that takes more is not worth it. */
const MOST_STEPS_TO_SHRINK = 50_000;
/** With more possibilities than this for one value, dominated ones are not searched for. */
const MOST_COMPARED = 1_000;

/** This many earlier changes are shown with a window that fails. */
const SHOWN_BEFORE = 6;

/** The search was given up; there is no verdict. */
class TooManyPossibilities extends RangeError {
  override readonly name = 'TooManyPossibilities';

  constructor(window: readonly Operation[]) {
    super(`key ${window[0]!.key}: too many possibilities in a window of ${window.length} operations`);
  }
}

/** An operation that may take effect from now on. */
interface Open {
  readonly operation: Operation;
  readonly bit: bigint;
  /** Its twin: an equal operation without an answer, asked for earlier. Which of them took effect cannot be told. */
  readonly twin: bigint;
}

/**
 * What may be the case at one moment: the key's value, and for each value the sets of open operations that have taken
 * effect by then. Never changed once it is made.
 */
type Possibilities = ReadonlyMap<Value, ReadonlySet<bigint>>;

/** Adds a possibility; whether it is new. */
function add(possibilities: Map<Value, Set<bigint>>, value: Value, done: bigint): boolean {
  const known = possibilities.get(value);
  if (!known) possibilities.set(value, new Set([done]));
  else if (known.has(done)) return false;
  else known.add(done);
  return true;
}

const latestChanges = (operations: readonly Operation[]): Operation[] =>
  operations.filter((one) => !observes(one) && answered(one)).slice(-SHOWN_BEFORE);

/** Where a window begins. */
interface Start {
  readonly possible: Possibilities;
  readonly unanswered: readonly Open[];
  /** How many bits are in use or were. */
  readonly bits: bigint;
}

const BEGINNING: Start = { possible: new Map([[undefined, new Set([0n])]]), unanswered: [], bits: 0n };

/** A window that no order explains. */
interface Failure {
  readonly start: Start;
  readonly window: readonly Operation[];
  /** The latest changes before it. */
  readonly earlier: readonly Operation[];
  /** The operation whose answer was the first without an explanation, and what the key may have held until then. */
  readonly culprit: Operation;
  readonly values: readonly Value[];
}

/**
 * The history of one key, checked as it arrives.
 *
 * The search is that of Wing and Gong with Lowe's memory of (operations done, value) pairs, in Lowe's just-in-time
 * form: it goes along the answers in the order of time, and lets open operations take effect only where the answer at
 * hand has no explanation without them. So all that is kept is what may be the case now, over the operations that are
 * open now, however long the history is; at a moment when none is open, that is a set of values.
 */
class KeyHistory {
  #possible: Possibilities;
  /** Those that change the value wherever they take effect, and those that only look. */
  readonly #changing = new Map<Operation, Open>();
  readonly #looking = new Map<Operation, Open>();
  /** Operations asked for whose answer is yet to come: none, and a window ends. */
  #awaited = 0;
  /** Bits of operations without an answer: theirs are never given to another. */
  #unanswered = 0n;
  readonly #freeBits: bigint[] = [];
  #bits: bigint;
  #start: Start;
  #window: Operation[] = [];
  #earlier: Operation[] = [];
  #end = -Infinity;
  readonly #figures: Figures;
  readonly #mostSteps: number;

  constructor(figures: Figures, mostSteps = MOST_STEPS, start = BEGINNING) {
    this.#figures = figures;
    this.#mostSteps = mostSteps;
    this.#start = start;
    this.#possible = start.possible;
    this.#bits = start.bits;
    for (const open of start.unanswered) {
      this.#changing.set(open.operation, open);
      this.#unanswered |= open.bit;
    }
  }

  /** Continues with `operations`, all of them later than the earlier ones; with `last`, up to its answer. */
  check(operations: readonly Operation[], last?: Operation): Failure | undefined {
    // Without an answer and without an effect, an operation tells nothing.
    const asked = operations.filter((one) => answered(one) || !observes(one)).sort((a, b) => a.from - b.from);
    const inTime = (one: Operation) => last === undefined || one === last || one.to < last.to;
    const answers = asked.filter((one) => answered(one) && inTime(one)).sort((a, b) => a.to - b.to);
    if (asked[0] && asked[0].from <= this.#end) throw new RangeError(`key ${asked[0].key}: batches overlap in time`);
    let next = 0;
    for (const operation of asked) {
      // At the same instant, whether one ended before the other began is not known: they may be concurrent.
      for (; next < answers.length && answers[next]!.to < operation.from; next += 1) {
        if (!this.#answer(answers[next]!)) return this.#failure(answers[next]!);
      }
      this.#ask(operation);
    }
    for (; next < answers.length; next += 1) {
      if (!this.#answer(answers[next]!)) return this.#failure(answers[next]!);
    }
    this.#end = answers.at(-1)?.to ?? this.#end;
    return undefined;
  }

  #ask(operation: Operation): void {
    this.#window.push(operation);
    this.#figures.operations += 1;
    const bit = this.#freeBits.pop() ?? 1n << this.#bits++;
    if (answered(operation)) this.#awaited += 1;
    if (observes(operation)) {
      const open = { operation, bit, twin: 0n };
      this.#looking.set(operation, open);
      this.#look(open);
    } else {
      const twin = answered(operation) ? 0n : this.#twinOf(operation);
      this.#changing.set(operation, { operation, bit, twin });
      if (!answered(operation)) this.#unanswered |= bit;
    }
  }

  /** The latest operation like `operation` that has no answer either. */
  #twinOf({ kind, argument }: Operation): bigint {
    const twins = [...this.#changing.values()].filter(
      ({ operation }) => !answered(operation) && operation.kind === kind && operation.argument === argument,
    );
    return twins.at(-1)?.bit ?? 0n;
  }

  /**
   * Where the answer of an operation that only looks fits, it is taken to have looked at once: nothing depends on it
   * later, and to leave it for later could only make its answer wrong.
   */
  #look({ operation, bit }: Open): void {
    const possible = new Map<Value, ReadonlySet<bigint>>(this.#possible);
    for (const [value, sets] of possible) {
      if (reply(operation, value) === operation.answer)
        possible.set(value, new Set([...sets].map((done) => done | bit)));
    }
    this.#possible = possible;
  }

  /** An operation was answered, so it has taken effect by now. Whether that is possible. */
  #answer(operation: Operation): boolean {
    const { bit } = (this.#changing.get(operation) ?? this.#looking.get(operation))!;
    const possible = this.#without(this.#search(bit));
    if (possible.size === 0) return false;
    this.#possible = possible;
    this.#changing.delete(operation);
    this.#looking.delete(operation);
    this.#freeBits.push(bit);
    this.#awaited -= 1;
    if (this.#awaited === 0) this.#close();
    return true;
  }

  /** All ways to let open operations take effect until that of `wanted` has; its bit is free afterwards. */
  #search(wanted: bigint): Map<Value, Set<bigint>> {
    const found = new Map<Value, Set<bigint>>();
    const seen = new Map<Value, Set<bigint>>();
    const ahead: [Value, bigint][] = [];
    let [explored, wide] = [0, 0];
    const visit = (value: Value, done: bigint) => {
      explored += 1;
      if (done & wanted) wide += add(found, value, done ^ wanted) ? 1 : 0;
      else if (add(seen, value, done)) ahead.push([value, done]);
    };
    for (const [value, sets] of this.#possible) for (const done of sets) visit(value, done);
    for (let at = ahead.pop(); at; at = ahead.pop()) {
      const [value, done] = at;
      for (const { operation, bit, twin } of this.#changing.values()) {
        if (done & bit || twin & this.#unanswered & ~done) continue;
        const after = effect(operation, value);
        const fits = answered(operation) ? reply(operation, value) === operation.answer : after !== value;
        if (fits) visit(after, this.#looked(after, done | bit));
      }
      if (explored > this.#mostSteps) throw new TooManyPossibilities(this.#window);
    }
    this.#figures.explored += explored;
    this.#figures.widest = Math.max(this.#figures.widest, wide);
    return found;
  }

  /** `done`, and every open operation that only looks and has seen `value`. */
  #looked(value: Value, done: bigint): bigint {
    for (const { operation, bit } of this.#looking.values()) {
      if (!(done & bit) && reply(operation, value) === operation.answer) done |= bit;
    }
    return done;
  }

  /**
   * Removes possibilities that another one with the same value covers, because more of its operations are still open.
   */
  #without(possible: Map<Value, Set<bigint>>): Map<Value, Set<bigint>> {
    if (this.#unanswered === 0n) return possible;
    for (const sets of possible.values()) {
      if (sets.size > MOST_COMPARED) continue;
      for (const done of sets) {
        const less = (other: bigint) =>
          other !== done && (other & done) === other && ((other ^ done) & this.#unanswered) === (other ^ done);
        if ([...sets].some(less)) sets.delete(done);
      }
    }
    return possible;
  }

  /** A moment when no operation is open. */
  #close(): void {
    this.#figures.windows += 1;
    this.#figures.largestWindow = Math.max(this.#figures.largestWindow, this.#window.length);
    this.#retire();
    this.#start = { possible: this.#possible, unanswered: [...this.#changing.values()], bits: this.#bits };
    this.#earlier = latestChanges([...this.#earlier, ...this.#window]);
    this.#window = [];
  }

  /** An unanswered operation that has taken effect in every possibility has ended. */
  #retire(): void {
    const sets = [...this.#possible.values()].flatMap((sets) => [...sets]);
    const over = sets.reduce((all, done) => all & done, this.#unanswered);
    if (over === 0n) return;
    for (const { operation, bit } of this.#changing.values()) if (bit & over) this.#changing.delete(operation);
    this.#unanswered ^= over;
    this.#possible = new Map(
      [...this.#possible].map(([value, sets]) => [value, new Set([...sets].map((done) => done ^ over))]),
    );
  }

  #failure(culprit: Operation): Failure {
    const values = [...this.#possible.keys()];
    return { start: this.#start, window: this.#window, earlier: this.#earlier, culprit, values };
  }
}

const noFigures = (): Figures => ({
  operations: 0,
  keys: 0,
  windows: 0,
  largestWindow: 0,
  explored: 0,
  widest: 0,
});

/**
 * The smallest window that still fails. A history that an order explains is explained without any operation that only
 * looked, too; so these are left out, many at a time at first, as long as the rest fails. What remains may have moments
 * without open operations where there were none before, and then it is a shorter window that fails.
 */
function smallest(failure: Failure): Failure {
  for (let chunk = failure.window.length; chunk >= 1; chunk = Math.floor(chunk / 2)) {
    for (let at = 0; at < failure.window.length;) {
      const kept = failure.window.filter((one, index) => index < at || index >= at + chunk || !observes(one));
      const shorter = kept.length < failure.window.length ? failureOf(kept, failure) : undefined;
      if (shorter) failure = { ...shorter, earlier: earlier(failure, shorter) };
      else at += chunk;
    }
  }
  return failure;
}

/**
 * How `window`, a part of that of a failure, fails by itself, if it does and that is found out soon. What was answered
 * later than the culprit may have its explanation in operations that came later, too: these answers do not count.
 */
function failureOf(window: readonly Operation[], { start, culprit }: Failure): Failure | undefined {
  try {
    return new KeyHistory(noFigures(), MOST_STEPS_TO_SHRINK, start).check(window, culprit);
  } catch (error) {
    if (error instanceof TooManyPossibilities) return undefined;
    throw error;
  }
}

/** The latest changes before `shorter`, which is part of `longer`. */
function earlier(longer: Failure, shorter: Failure): Operation[] {
  const { from } = shorter.window[0]!;
  return latestChanges([...longer.earlier, ...longer.window.filter(({ to }) => to < from)]);
}

/**
 * Checks that histories are linearizable: that all operations on a key can be put in one order which explains every
 * answer, and in which each takes its place between the moments it was asked for and answered. Keys are independent of
 * each other, so each is checked by itself.
 */
export class Checker {
  readonly figures: Figures = noFigures();
  readonly #histories = new Map<string, KeyHistory>();
  readonly #mostSteps: number | undefined;

  /** @param mostSteps of the search for one answer, before it is given up with an error */
  constructor(mostSteps?: number) {
    this.#mostSteps = mostSteps;
  }

  /** Goes on with a batch, all of it later than those before. All keys are empty at first. */
  check(operations: readonly Operation[]): Violation | undefined {
    const byKey = new Map<string, Operation[]>();
    for (const operation of operations) {
      const known = byKey.get(operation.key);
      if (known) known.push(operation);
      else byKey.set(operation.key, [operation]);
    }
    for (const [key, batch] of byKey) {
      const failure = this.#history(key).check(batch);
      if (failure) return this.#violation(failure);
    }
    return undefined;
  }

  #history(key: string): KeyHistory {
    const known = this.#histories.get(key);
    if (known) return known;
    const history = new KeyHistory(this.figures, this.#mostSteps);
    this.#histories.set(key, history);
    this.figures.keys += 1;
    return history;
  }

  #violation(failure: Failure): Violation {
    const { start, window, earlier, culprit, values } = smallest(failure);
    const unanswered = start.unanswered.map(({ operation }) => operation);
    return new Violation({
      earlier,
      before: [...start.possible.keys()],
      operations: [...unanswered, ...window],
      culprit,
      values,
    });
  }
}
