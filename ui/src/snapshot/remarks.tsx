// What the reader must know besides: what is missing, what was assumed, which command comes next.

import { Part } from "../parts/section.tsx";
import type { Model } from "./model.ts";

export function Remarks({ model }: { model: Model }) {
  const { evidence, notes, next } = model.values;
  const remarks = [...evidence.missing, ...evidence.warnings, ...notes];
  return (
    <Part id="remarks" title="Remarks and what next">
      {remarks.length ? (
        <ul>
          {remarks.map((text) => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      ) : null}
      <p>Commands worth running now:</p>
      <pre tabIndex={0} role="group" aria-label="Commands">
        <code>{next.join("\n")}</code>
      </pre>
      <dl class="facts">
        <Fact name="evidence" value={evidence.path} />
        <Fact name="executable" value={evidence.executable ? `${evidence.executable} (${evidence.executable_found_by})` : "none"} />
        <Fact name="build id" value={evidence.build_id ?? "none"} />
        {evidence.pause_seconds === null ? null : <Fact name="stood still" value={`${evidence.pause_seconds.toFixed(3)} s`} />}
      </dl>
      <p class="dim">
        Written by mapscope {model.pack.tool.version}, schema {model.pack.schema}. This file holds types, counts, bytes, addresses and
        names of functions, never a key or a value; it asks nothing of any network.
      </p>
    </Part>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="mono">{value}</dd>
    </div>
  );
}
