// Dominators as an icicle: each bar is what would be free without it, above what it keeps alive.

import { useMemo, useState } from "preact/hooks";
import { bytes, percent, plural } from "../format.ts";
import { Chain } from "../parts/chain.tsx";
import { Bytes, Share } from "../parts/numbers.tsx";
import { Part } from "../parts/section.tsx";
import { type Tree, TreeTable } from "../parts/tree.tsx";
import type { Model } from "./model.ts";
import { childrenOf } from "./treemap.tsx";

const LEVELS = 14;
const ROW = 24;
const LEAST = 0.004;

interface Bar {
  node: number;
  level: number;
  from: number;
  share: number;
}

export function DominatorsPart({ model }: { model: Model }) {
  const tree = useMemo(() => dominatorTree(model), [model]);
  const [at, setAt] = useState(0);
  const rest = model.values.dominators_rest;
  if (!rest || !tree) {
    return (
      <Part id="dominators" title="What holds most">
        <p>Who holds what was left out (--no-chains).</p>
      </Part>
    );
  }
  const path = pathTo(tree.parent, at);
  const bars = layout(tree, at);
  const deepest = bars.reduce((most, bar) => Math.max(most, bar.level), 0);
  return (
    <Part
      id="dominators"
      title="What holds most"
      lead="A bar is as wide as the bytes that would be free without it; below it stands what only it keeps alive. Maps and their arrays are amber."
    >
      <Suspects model={model} />
      <nav class="crumbs" aria-label="Level of the picture of dominators">
        {path.map((node) => (
          <button key={node} type="button" class="quiet" disabled={node === at} onClick={() => setAt(node)}>
            {tree.label(node)}
          </button>
        ))}
      </nav>
      <div class="icicle" role="group" aria-label="Dominators by retained bytes" style={{ height: `${(deepest + 1) * ROW}px` }}>
        {bars.map((bar) => {
          const words = `${tree.label(bar.node)}: retains ${bytes(tree.bytes(bar.node))}, ${percent(tree.bytes(bar.node), rest.total_bytes)}`;
          return (
            <button
              key={bar.node}
              type="button"
              class={`ice ${ofMap(tree.label(bar.node)) ? "ice-map" : `ice-${bar.level % 2}`}`}
              style={{ left: `${100 * bar.from}%`, width: `${100 * bar.share}%`, top: `${bar.level * ROW}px` }}
              title={words}
              aria-label={words}
              tabIndex={bar.share > 0.02 ? 0 : -1}
              onClick={() => setAt(bar.node)}
            >
              {bar.share > 0.05 ? tree.label(bar.node) : ""}
            </button>
          );
        })}
      </div>
      <details>
        <summary>The same as a table</summary>
        <TreeTable tree={tree} label="Dominators, as a tree" second="Own bytes" />
      </details>
      <p class="dim">
        <Bytes n={rest.rest_bytes} /> are kept by {plural(rest.rest, "smaller dominator")}, or by several roots at once.
      </p>
    </Part>
  );
}

/** Whether a node is a map's header or one of its arrays. */
function ofMap(label: string): boolean {
  return /^(hmap|maps\.Map|\[?\]?(bucket|group)|\*?table|\[\]\*table)\b|^map\[/.test(label);
}

function Suspects({ model }: { model: Model }) {
  const { suspects, heap } = model.values;
  if (!suspects.length) return null;
  return (
    <ol class="suspects">
      {suspects.map((one, at) => (
        <li key={at}>
          <Bytes n={one.retained_bytes} class="bad" /> <Share of={one.retained_bytes} whole={heap.live_bytes} />:{" "}
          {one.count > 1 ? `${plural(one.count, "object")} ` : ""}
          <span class="mono">{one.step.label}</span>
          {one.chain.length > 1 ? (
            <details>
              <summary>Held by</summary>
              <Chain steps={one.chain} onMap={(address) => model.rowOf(address) >= 0} />
            </details>
          ) : null}
        </li>
      ))}
    </ol>
  );
}

interface DominatorTree extends Tree {
  readonly parent: (node: number) => number;
}

/** Node 0 is the heap; the rows of the section follow, then a node for what each leaves out. */
function dominatorTree(model: Model): DominatorTree | null {
  const rest = model.values.dominators_rest;
  const section = model.pack.section("dominators");
  if (!rest) return null;
  const below = childrenOf(section);
  const children: number[][] = [[], ...below.map((nodes) => nodes.map((node) => node + 1))];
  const parent: number[] = [-1];
  for (let row = 0; row < section.rows; row++) {
    const up = section.col("parent").number(row) + 1;
    parent.push(up);
    if (up === 0) children[0]?.push(row + 1);
  }
  const extra: { label: string; bytes: number }[] = [];
  const add = (up: number, label: string, size: number) => {
    if (size <= 0) return;
    children[up]?.push(section.rows + 1 + extra.length);
    parent.push(up);
    extra.push({ label, bytes: size });
  };
  const count = [rest.rest];
  const size = [rest.rest_bytes];
  for (let row = 0; row < section.rows; row++) {
    count.push(section.col("left_out").number(row));
    size.push(section.col("left_out_bytes").number(row));
  }
  const groups = model.pack.section("left_out");
  for (let row = 0; row < groups.rows; row++) {
    const up = groups.col("parent").number(row) + 1;
    const many = groups.col("count").number(row);
    const bytes = groups.col("retained_bytes").number(row);
    add(up, `${plural(many, "object")} ${groups.col("type").text(row) ?? ""}`, bytes);
    count[up] = (count[up] ?? 0) - many;
    size[up] = (size[up] ?? 0) - bytes;
  }
  for (let up = 0; up <= section.rows; up++) add(up, plural(count[up] ?? 0, "smaller object"), size[up] ?? 0);
  const heavy = (node: number) => (node > section.rows ? (extra[node - section.rows - 1]?.bytes ?? 0) : section.col("retained_bytes").number(node - 1));
  for (const nodes of children) nodes.sort((a, b) => heavy(b) - heavy(a));
  const inside = (node: number) => node >= 1 && node <= section.rows;
  const spare = (node: number) => extra[node - section.rows - 1];
  return {
    parent: (node) => parent[node] ?? -1,
    children: (node) => children[node] ?? [],
    label: (node) => (node === 0 ? "live heap" : inside(node) ? name(model, node - 1) : (spare(node)?.label ?? "")),
    bytes: (node) => (node === 0 ? rest.total_bytes : inside(node) ? section.col("retained_bytes").number(node - 1) : (spare(node)?.bytes ?? 0)),
    second: (node) => (inside(node) ? section.col("shallow_bytes").number(node - 1) : 0),
    href: (node) => {
      const address = inside(node) ? section.col("address").hex(node - 1) : "";
      return model.rowOf(address) >= 0 ? `#map/${address}` : null;
    },
  };
}

function name(model: Model, row: number): string {
  const section = model.pack.section("dominators");
  const label = section.col("label").text(row) ?? "";
  return label === "object" ? `object ${section.col("address").hex(row)}` : label;
}

function pathTo(parent: (node: number) => number, node: number): number[] {
  const out = [node];
  for (let at = parent(node); at >= 0; at = parent(at)) out.unshift(at);
  return out;
}

function layout(tree: Tree, at: number): Bar[] {
  const whole = Math.max(tree.bytes(at), 1);
  const bars: Bar[] = [{ node: at, level: 0, from: 0, share: 1 }];
  for (let next = 0; next < bars.length; next++) {
    const bar = bars[next];
    if (!bar || bar.level + 1 >= LEVELS) continue;
    let from = bar.from;
    for (const child of tree.children(bar.node)) {
      const share = tree.bytes(child) / whole;
      if (share >= LEAST && from + share <= 1 + 1e-9) bars.push({ node: child, level: bar.level + 1, from, share });
      from += share;
    }
  }
  return bars;
}
