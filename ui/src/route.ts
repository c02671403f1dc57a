// Where the reader is: the part of the address behind #. `#map/0xc000…` is a map's page, `#maps` a part of the page.

import { useEffect, useState } from "preact/hooks";

/** Words of the hash: ["map", "0xc000010000"]. */
export function route(): string[] {
  return decodeURI(location.hash.slice(1)).split("/").filter(Boolean);
}

/** The route, kept up to date. */
export function useRoute(): string[] {
  const [now, set] = useState(route);
  useEffect(() => {
    const changed = () => set(route());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return now;
}
