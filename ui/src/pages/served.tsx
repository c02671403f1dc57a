// The page of `mapscope serve`: questions to the server, then the report as it stands in a file.

import { useState } from "preact/hooks";
import { pageOf, type PageProps, register } from "../registry.ts";
import { Ask } from "../served/ask.tsx";
import { EveryGoroutine } from "../served/goroutines.tsx";
import { AllMaps } from "../served/maps.tsx";
import { ServedSource } from "../served/source.ts";
import { Tree } from "../served/tree.tsx";
import { Types } from "../served/types.tsx";
import "../style/served.css";

const PANELS = [
  ["every-map", "Every map"],
  ["keeps", "What keeps what"],
  ["every-type", "Objects by type"],
  ["every-goroutine", "Every goroutine"],
] as const;

function Served({ source }: PageProps) {
  const Report = pageOf("snapshot");
  const [open, set] = useState<string | null>(null);
  if (!Report || !(source instanceof ServedSource)) return null;
  return (
    <>
      <aside class="served" aria-label="Questions to the server">
        <Ask source={source} />
        <div class="asked-opens" role="group" aria-label="More from the server">
          {PANELS.map(([name, words]) => (
            <button key={name} type="button" id={`open-${name}`} aria-expanded={open === name} onClick={() => set(open === name ? null : name)}>
              {words}
            </button>
          ))}
        </div>
        {open === "every-map" ? <AllMaps source={source} /> : null}
        {open === "keeps" ? <Tree source={source} /> : null}
        {open === "every-goroutine" ? <EveryGoroutine source={source} /> : null}
        {open === "every-type" ? <Types source={source} /> : null}
      </aside>
      <Report source={source} />
    </>
  );
}

register("served", Served);
