// The frame around every page: which page, and what stands there when it fails.

import { Component, type ComponentChildren } from "preact";
import { pageOf } from "./registry.ts";
import type { Source } from "./source.ts";

/** The page of the source's kind. */
export function App({ source }: { source: Source }) {
  const Page = pageOf(source.pack.kind);
  if (!Page) {
    return <Failure message={`mapscope ${source.pack.tool.version} wrote a ${source.pack.kind}, which this page cannot show.`} />;
  }
  return (
    <Guard>
      <Page source={source} />
    </Guard>
  );
}

/** A sentence in place of a page. */
export function Failure({ message }: { message: string }) {
  return (
    <main class="failure" role="alert">
      <h1>mapscope</h1>
      <p>{message}</p>
    </main>
  );
}

/** A mistake in one view must not leave an empty page. */
class Guard extends Component<{ children: ComponentChildren }, { failed: string | null }> {
  override state = { failed: null };

  static override getDerivedStateFromError(error: unknown) {
    return { failed: error instanceof Error ? error.message : String(error) };
  }

  override componentDidCatch(error: unknown) {
    console.error(error);
  }

  override render() {
    return this.state.failed === null ? this.props.children : <Failure message={`A part of the page failed: ${this.state.failed}`} />;
  }
}
