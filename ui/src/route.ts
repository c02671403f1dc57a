// Where the reader is: the part of the address behind #. `#map/0xc000…` is a map's page, `#maps?state=growing` a part
// of the page with its filters.

import { useLayoutEffect, useState } from "preact/hooks";

/** A hash in words: path ["map", "0xc000010000"], and what stands behind the question mark. */
export interface Route {
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

/** The route of this moment. */
export function route(): Route {
  const [path = "", query = ""] = location.hash.slice(1).split("?", 2);
  return { path: path.split("/").filter(Boolean), query: new URLSearchParams(query) };
}

/** The route, kept up to date: from the first moment, so that no change is missed. */
export function useRoute(): Route {
  const [now, set] = useState(route);
  useLayoutEffect(() => {
    const changed = () => set(route());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return now;
}

/** Writes into the address what the reader has chosen in this part of the page: the way back leads there again. */
export function note(part: string, query: URLSearchParams): void {
  history.replaceState(history.state, "", query.size ? `#${part}?${query}` : `#${part}`);
}
