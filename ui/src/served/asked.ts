// A question that follows what the reader looks at: the latest one counts, earlier ones are given up.

import { useEffect, useState } from "preact/hooks";
import { type ServedSource, wordsOf } from "./source.ts";

/** How far a question is. */
export type Asked<T> =
  | { readonly state: "none" }
  | { readonly state: "waiting"; readonly before: T | null }
  | { readonly state: "there"; readonly answer: T }
  | { readonly state: "refused"; readonly words: string };

/** The answer to the question at `path`; nothing is asked while that is null. `keep`: show the one before meanwhile. */
export function useAnswer<T>(source: ServedSource, path: string | null, keep = false): Asked<T> {
  const [asked, set] = useState<Asked<T>>({ state: "none" });
  useEffect(() => {
    if (path === null) {
      set({ state: "none" });
      return;
    }
    const giveUp = new AbortController();
    set((last) => {
      const before = last.state === "there" ? last.answer : last.state === "waiting" ? last.before : null;
      return { state: "waiting", before: keep ? before : null };
    });
    source.ask<T>(path, giveUp.signal).then(
      (answer) => set({ state: "there", answer }),
      (error: unknown) => {
        if (!giveUp.signal.aborted) set({ state: "refused", words: wordsOf(error) });
      },
    );
    return () => giveUp.abort();
  }, [source, path]);
  return asked;
}

const PAUSE = 300; // milliseconds without a letter

/** What the reader has typed, once they pause: a question a word, not a letter. */
export function useSettled(typed: string): string {
  const [settled, set] = useState(typed);
  useEffect(() => {
    const timer = setTimeout(() => set(typed), PAUSE);
    return () => clearTimeout(timer);
  }, [typed]);
  return settled;
}
