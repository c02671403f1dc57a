// The colour scheme: that of the system, or the reader's own choice.

import { useState } from "preact/hooks";

type Scheme = "auto" | "light" | "dark";
const NEXT: Record<Scheme, Scheme> = { auto: "dark", dark: "light", light: "auto" };

/** A button that goes through the system's colours, dark, light. */
export function SchemeButton() {
  const [scheme, set] = useState<Scheme>("auto");
  const change = () => {
    const next = NEXT[scheme];
    if (next === "auto") delete document.documentElement.dataset["scheme"];
    else document.documentElement.dataset["scheme"] = next;
    set(next);
  };
  return (
    <button type="button" class="quiet" id="scheme" onClick={change} aria-label={`Colours: ${scheme}. Change`}>
      <span aria-hidden="true">{scheme === "dark" ? "☾" : scheme === "light" ? "☀" : "◐"}</span> {scheme}
    </button>
  );
}
