// Maps as rectangles under the ways to them, coloured by waste. A click goes one level down; the table beside it tells
// the same in text.

import { hierarchy, treemap, treemapSquarify, type HierarchyRectangularNode } from "d3-hierarchy";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { bytes, percent } from "../format.ts";
import type { Section } from "../pack.ts";
import { Part } from "../parts/section.tsx";
import { type Tree, TreeTable } from "../parts/tree.tsx";
import type { Model } from "./model.ts";
import { STEPS, wasteClass } from "./waste.ts";

const HEIGHT = 440;
/** Levels that are drawn one inside the other. */
const LEVELS = 4;
// The Tab key goes from frame to frame; the maps in them are reached through the table below.
/** Smaller cells, in pixels, are left to the table. */
const LEAST = 4;
const MOST_CELLS = 1200;

export function Owners({ model }: { model: Model }) {
  const tree = useMemo(() => ownerTree(model), [model]);
  const [at, setAt] = useState(0);
  const path = useMemo(() => upwards(model.pack.section("owners"), at), [model, at]);
  if (tree.bytes(0) === 0) {
    return (
      <Part id="owners" title="Maps by owner">
        <p>No map holds anything.</p>
      </Part>
    );
  }
  return (
    <Part id="owners" title="Maps by owner" lead="Each rectangle is a map's memory, inside the way from a root that leads to it.">
      <nav class="crumbs" aria-label="Level of the picture of owners">
        {path.map((node) => (
          <button key={node} type="button" class="quiet" disabled={node === at} onClick={() => setAt(node)}>
            {tree.label(node)}
          </button>
        ))}
      </nav>
      <Picture tree={tree} at={at} go={setAt} />
      <ul class="legend steps" aria-label="Colours: share of bytes beyond need">
        {STEPS.map(([, words], step) => (
          <li key={words}>
            <span class={`swatch waste-${step}`} aria-hidden="true" /> {words}
          </li>
        ))}
        <li class="dim">of the bytes are beyond need</li>
      </ul>
      <details>
        <summary>The same as a table</summary>
        <TreeTable tree={tree} label="Maps by owner, as a tree" second="Waste" />
      </details>
    </Part>
  );
}

function ownerTree(model: Model): Tree {
  const section = model.pack.section("owners");
  const children = childrenOf(section);
  const address = model.maps.col("address");
  const row = section.col("row");
  return {
    children: (node) => children[node] ?? [],
    label: (node) => section.col("label").text(node) ?? "",
    bytes: (node) => section.col("bytes").number(node),
    second: (node) => section.col("waste_bytes").number(node),
    href: (node) => (row.number(node) >= 0 ? `#map/${address.hex(row.number(node))}` : null),
  };
}

/** Children of each node, in the order of the section. */
export function childrenOf(section: Section): number[][] {
  const parent = section.col("parent");
  const out: number[][] = Array.from({ length: section.rows }, () => []);
  for (let node = 0; node < section.rows; node++) out[parent.number(node)]?.push(node);
  return out;
}

function upwards(section: Section, node: number): number[] {
  const out = [node];
  for (let at = section.col("parent").number(node); at >= 0; at = section.col("parent").number(at)) out.unshift(at);
  return out;
}

interface Datum {
  node: number;
  children: Datum[];
}

function Picture({ tree, at, go }: { tree: Tree; at: number; go: (node: number) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(1000);
  // Before the first paint: a picture for another width would be seen for a moment, with other cells.
  useLayoutEffect(() => {
    const place = box.current;
    if (!place) return undefined;
    const measure = () => setWidth(Math.max(200, place.clientWidth));
    measure();
    const seen = new ResizeObserver(measure);
    seen.observe(place);
    return () => seen.disconnect();
  }, []);
  const cells = useMemo(() => layout(tree, at, width), [tree, at, width]);
  return (
    <div class="treemap" ref={box} style={{ height: `${HEIGHT}px` }} role="group" aria-label={`Inside ${tree.label(at)}`}>
      {cells.map((cell) => (
        <Cell key={cell.data.node} cell={cell} tree={tree} at={at} width={width} go={go} />
      ))}
    </div>
  );
}

type Rect = HierarchyRectangularNode<Datum>;

interface CellProps {
  cell: Rect;
  tree: Tree;
  at: number;
  width: number;
  go: (node: number) => void;
}

function Cell({ cell, tree, at, width, go }: CellProps) {
  const node = cell.data.node;
  const size = tree.bytes(node);
  const words = `${tree.label(node)}: ${bytes(size)}, ${percent(tree.second(node), size) || "0 %"} beyond need`;
  const place = spot(cell, width, HEIGHT);
  const text =
    cell.x1 - cell.x0 > 56 && cell.y1 - cell.y0 > 17 ? (
      <span class="cell-text">
        {tree.label(node)} <span class="num">{bytes(size)}</span>
      </span>
    ) : null;
  if (tree.children(node).length && node !== at) {
    const name = `cell ${cell.children ? "group-cell" : wasteClass(tree.second(node), size)}`;
    return (
      <button type="button" class={name} style={place} title={words} aria-label={`${words}. Open`} onClick={() => go(node)}>
        {text}
      </button>
    );
  }
  const name = `cell ${wasteClass(tree.second(node), size)}`;
  const href = tree.href?.(node);
  return href ? (
    <a class={name} style={place} href={href} title={words} aria-label={words} tabIndex={-1}>
      {text}
    </a>
  ) : (
    <div class={name} style={place} title={words}>
      {text}
    </div>
  );
}

/** Place and size in percent. */
function spot(cell: Rect, width: number, height: number) {
  const share = (part: number, whole: number) => `${(100 * part) / Math.max(whole, 1)}%`;
  return {
    left: share(cell.x0, width),
    top: share(cell.y0, height),
    width: share(cell.x1 - cell.x0, width),
    height: share(cell.y1 - cell.y0, height),
  };
}

/** Levels below `at` that have room, parents before their children; a node that lies deeper is drawn as one cell. */
function layout(tree: Tree, at: number, width: number): Rect[] {
  const datum = (node: number, levels: number): Datum => ({
    node,
    children: levels ? tree.children(node).map((child) => datum(child, levels - 1)) : [],
  });
  const root = hierarchy(datum(at, LEVELS)).sum((one) => (one.children.length ? 0 : tree.bytes(one.node)));
  const made = treemap<Datum>()
    .tile(treemapSquarify)
    .size([width, HEIGHT])
    .round(true)
    .paddingInner(1)
    .paddingTop((one) => (one.depth > 0 && one.children ? (one.y1 - one.y0 > 44 ? 18 : 3) : 0))
    .paddingLeft((one) => (one.depth > 0 && one.children ? 3 : 0))
    .paddingRight((one) => (one.depth > 0 && one.children ? 3 : 0))
    .paddingBottom((one) => (one.depth > 0 && one.children ? 3 : 0))(root);
  if (!made.children) return [made];
  return made
    .descendants()
    .filter((one) => one.depth > 0 && one.x1 - one.x0 >= LEAST && one.y1 - one.y0 >= LEAST)
    .slice(0, MOST_CELLS);
}
