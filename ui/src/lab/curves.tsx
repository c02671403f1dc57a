// Curves of real maps, of the model, and of the article, on one axis.

import { useMemo } from "preact/hooks";
import { bytes, count } from "../format.ts";
import { joined, type Measured } from "../kinds/joined.ts";
import { type Line, Plot } from "../kinds/plot.tsx";
import type { Pack } from "../pack.ts";
import { Part } from "../parts/section.tsx";
import type { LabValues } from "./model.ts";

export function Curves({ pack, values }: { pack: Pack; values: LabValues }) {
  const axes = values.axes;
  const { places, lines } = useMemo(() => read(pack), [pack]);
  if (!axes) return null;
  const up = axes.unit === "bytes" ? (value: number) => bytes(Math.round(value)) : (value: number) => `${(100 * value).toFixed(value && value < 0.1 ? 1 : 0)} %`;
  return (
    <Part id="curves" title={axes.title} lead={`${axes.y}, against ${axes.x}. Solid lines are measured on real Go, dashed ones the model's, dotted the article's.`}>
      <Plot
        id="curve"
        label={`${axes.y} against ${axes.x}`}
        places={places}
        lines={lines}
        across={{ label: axes.x, text: (value) => (axes.log2 ? `${count(value)}×` : count(value)), log2: axes.log2 }}
        up={{ label: axes.y, text: up }}
        stepped={!axes.log2}
        points={axes.log2}
      />
      {values.thinned ? <p class="dim">Long curves are thinned on this page; the CSV beside it has all points.</p> : null}
      <h3>In a line each</h3>
      <pre tabIndex={0} role="group" aria-label="Summaries">
        <code>{(values.summaries ?? []).join("\n")}</code>
      </pre>
    </Part>
  );
}

/** `1.23` of `Go 1.23.9` and of `model 1.23`: one colour. */
function family(who: string): string {
  const word = who.split(" ").pop() ?? who;
  return /^\d/.test(word) ? word.split(".").slice(0, 2).join(".") : who;
}

function read(pack: Pack): { places: number[]; lines: Line[] } {
  const curves = pack.section("curves");
  const points = pack.section("points");
  const families: string[] = [];
  const lines: Omit<Line, "values">[] = [];
  const measured: Measured[] = [];
  for (let curve = 0; curve < curves.rows; curve++) {
    const who = curves.col("who").text(curve) ?? "";
    const name = family(who);
    if (!families.includes(name)) families.push(name);
    const [from, to] = [curve ? curves.col("end").number(curve - 1) : 0, curves.col("end").number(curve)];
    const column = (column: string) => Array.from({ length: to - from }, (_, at) => points.col(column).number(from + at));
    const colour = families.indexOf(name);
    if (curves.col("area").number(curve) && who.startsWith("Go")) {
      lines.push({ id: `${curve}-old`, label: `${who}: old array`, colour, area: true });
      measured.push({ x: column("x"), y: column("old").map((value) => (Number.isNaN(value) ? null : value)) });
    }
    const dash = who.startsWith("Go") ? undefined : who.startsWith("model") ? ("dashed" as const) : ("dotted" as const);
    lines.push({ id: String(curve), label: who, colour, ...(dash ? { dash } : {}) });
    measured.push({ x: column("x"), y: column("y") });
  }
  const { places, values } = joined(measured);
  return { places, lines: lines.map((line, at) => ({ ...line, values: values[at] ?? [] })) };
}
