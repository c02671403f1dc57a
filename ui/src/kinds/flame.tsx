// An icicle of nested sums: callers above, what they call below; a click or Enter zooms to a node.

import { useMemo, useRef, useState } from "preact/hooks";
import { bytes, percent, plural } from "../format.ts";
import type { Section } from "../pack.ts";

const ROW = 22;
const LEAST = 0.0015; // of the width; narrower boxes are not drawn
const DEEPEST = 60;
const KINDS = ["program", "runtime", "part"];

interface Box {
  readonly node: number; // -1: the whole
  readonly left: number;
  readonly width: number;
  readonly depth: number;
}

/** `section`: parent, name, kind, inuse_bytes, alloc_bytes, left_out; parents before children. */
export function Flame({ section, measure, words, pick }: { section: Section; measure: "inuse_bytes" | "alloc_bytes"; words: string; pick?: (name: string) => void }) {
  const [root, setRoot] = useState(-1);
  const [at, setAt] = useState(-1);
  const [find, setFind] = useState("");
  const host = useRef<HTMLDivElement>(null);
  const value = section.col(measure);
  const name = section.col("name");
  const parent = section.col("parent");
  const kind = section.col("kind");
  const children = useMemo(() => {
    const of = new Map<number, number[]>();
    for (let node = 0; node < section.rows; node++) {
      const above = parent.number(node);
      const list = of.get(above);
      if (list) list.push(node);
      else of.set(above, [node]);
    }
    for (const list of of.values()) list.sort((a, b) => value.number(b) - value.number(a) || a - b);
    return of;
  }, [section, measure]);
  const whole = (children.get(-1) ?? []).reduce((sum, node) => sum + value.number(node), 0);
  const size = (node: number) => (node < 0 ? whole : value.number(node));
  const title = (node: number) => (node < 0 ? "all map memory" : (name.text(node) ?? "?"));

  const boxes = useMemo(() => {
    const out: Box[] = [];
    const above: Box[] = [];
    for (let node = root; node >= 0; ) {
      node = parent.number(node);
      above.unshift({ node, left: 0, width: 1, depth: 0 });
    }
    above.forEach((box, depth) => out.push({ ...box, depth }));
    const queue: Box[] = [{ node: root, left: 0, width: 1, depth: out.length }];
    const first = out.length;
    for (let next = 0; next < queue.length; next++) {
      const box = queue[next] as Box;
      out.push(box);
      if (box.depth - first >= DEEPEST) continue;
      let left = box.left;
      const scale = size(box.node) > 0 ? box.width / size(box.node) : 0;
      for (const child of children.get(box.node) ?? []) {
        const width = size(child) * scale;
        if (width >= LEAST) queue.push({ node: child, left, width, depth: box.depth + 1 });
        left += width;
      }
    }
    return out;
  }, [section, measure, root, children]);

  const depth = Math.max(...boxes.map((box) => box.depth)) + 1;
  const wanted = find.trim().toLowerCase();
  const hit = (node: number) => wanted !== "" && title(node).toLowerCase().includes(wanted);
  const found = useMemo(() => {
    // A node below one that is found is in its sum already.
    let sum = 0;
    const inside = new Uint8Array(section.rows);
    for (let node = 0; node < section.rows; node++) {
      const above = parent.number(node);
      if (above >= 0 && inside[above]) inside[node] = 1;
      else if (hit(node)) {
        inside[node] = 1;
        sum += value.number(node);
      }
    }
    return sum;
  }, [section, measure, wanted]);
  const current = boxes.some((box) => box.node === at) ? at : root;
  const left = current < 0 ? 0 : section.col("left_out").number(current);
  const own = size(current) - (children.get(current) ?? []).reduce((sum, node) => sum + size(node), 0);

  const go = (node: number) => {
    setAt(node);
    host.current?.querySelector<HTMLElement>(`[data-node="${node}"]`)?.focus();
  };
  const key = (event: KeyboardEvent) => {
    const box = boxes.find((one) => one.node === current);
    if (!box) return;
    const drawn = (nodes: readonly number[]) => nodes.filter((node) => boxes.some((one) => one.node === node));
    const peers = current < 0 ? [-1] : drawn(children.get(parent.number(current)) ?? []);
    const steps: Record<string, () => number | undefined> = {
      ArrowUp: () => (current >= 0 ? parent.number(current) : undefined),
      ArrowDown: () => drawn(children.get(current) ?? [])[0],
      ArrowRight: () => peers[peers.indexOf(current) + 1],
      ArrowLeft: () => peers[peers.indexOf(current) - 1],
    };
    if (event.key === "Escape") {
      setRoot(-1);
      event.preventDefault();
      return;
    }
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const to = step();
    if (to !== undefined) go(to);
  };

  return (
    <div class="k-flame">
      <div class="filters k-tools">
        <label>
          <span>Find</span>
          <input type="search" value={find} placeholder="function or part" onInput={(event) => setFind(event.currentTarget.value)} />
        </label>
        {wanted ? (
          <output class="k-found">
            {bytes(found)} in what matches, {percent(found, whole) || "0 %"}
          </output>
        ) : null}
        <button type="button" class="k-reset" disabled={root < 0} onClick={() => setRoot(-1)}>
          Show all
        </button>
        <ul class="k-keys" aria-label="Colours">
          <li class="k-box-program">program</li>
          <li class="k-box-runtime">Go runtime</li>
          <li class="k-box-part">part of a map</li>
        </ul>
      </div>
      <div class="k-boxes" ref={host} role="group" aria-label={`${words} by stack. Arrow keys walk, Enter zooms, Escape shows all.`} onKeyDown={key} style={{ height: `${depth * ROW}px` }}>
        {boxes.map((box) => {
          const words = `${title(box.node)}: ${bytes(size(box.node))}, ${percent(size(box.node), whole)}`;
          return (
            <button
              key={box.node}
              type="button"
              class={`k-box k-box-${box.node < 0 ? "whole" : KINDS[kind.number(box.node)]}${hit(box.node) ? " k-hit" : ""}${wanted && !hit(box.node) ? " k-miss" : ""}`}
              data-node={box.node}
              tabIndex={box.node === current ? 0 : -1}
              aria-label={words}
              title={words}
              style={{ left: `${box.left * 100}%`, width: `${box.width * 100}%`, top: `${box.depth * ROW}px` }}
              onFocus={() => setAt(box.node)}
              onMouseEnter={() => setAt(box.node)}
              onClick={() => {
                setRoot(box.node);
                setAt(box.node);
              }}
            >
              {title(box.node)}
            </button>
          );
        })}
      </div>
      <p class="k-said" aria-live="polite">
        <strong>{title(current)}</strong>: {bytes(size(current))}, {percent(size(current), whole)} of map memory
        {own > 0 && current >= 0 && kind.number(current) !== 2 ? `, ${bytes(own)} of it in ${left ? plural(left, "small node") : "what is"} not shown` : ""}
        {pick && current >= 0 && kind.number(current) === 0 ? (
          <>
            {" "}
            <button type="button" class="quiet" onClick={() => pick(title(current))}>
              its places
            </button>
          </>
        ) : null}
      </p>
    </div>
  );
}
