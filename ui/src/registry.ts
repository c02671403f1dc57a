// Pages by the kind of their data. A kind has a file of its own in pages/, named in pages/index.ts.

import type { ComponentType } from "preact";
import type { Source } from "./source.ts";

/** What a page is given. */
export interface PageProps {
  readonly source: Source;
}

const pages = new Map<string, ComponentType<PageProps>>();

/** Makes a page known. */
export function register(kind: string, page: ComponentType<PageProps>): void {
  pages.set(kind, page);
}

/** The page of a kind. */
export function pageOf(kind: string): ComponentType<PageProps> | undefined {
  return pages.get(kind);
}
