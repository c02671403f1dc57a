// Whether the page is being printed: rows that a window would scroll through are then written out.

import { useLayoutEffect, useState } from "preact/hooks";

export function usePrinting(): boolean {
  const [printing, set] = useState(() => matchMedia("print").matches);
  useLayoutEffect(() => {
    const media = matchMedia("print");
    const changed = () => set(media.matches);
    const before = () => set(true);
    const after = () => set(false);
    media.addEventListener("change", changed);
    addEventListener("beforeprint", before);
    addEventListener("afterprint", after);
    return () => {
      media.removeEventListener("change", changed);
      removeEventListener("beforeprint", before);
      removeEventListener("afterprint", after);
    };
  }, []);
  return printing;
}
