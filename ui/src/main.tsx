import { render } from "preact";
import { App, Failure } from "./app.tsx";
import "./pages/index.ts";
import { openers, type Source } from "./source.ts";
import "./style/base.css";
import "./style/parts.css";
import "./style/snapshot.css";
import "./style/print.css";

async function open(): Promise<Source> {
  for (const opener of openers) {
    const source = await opener();
    if (source) return source;
  }
  throw new Error("This page holds no data.");
}

const place = document.getElementById("app");
if (place) {
  open().then(
    (source) => {
      place.textContent = "";
      render(<App source={source} />, place);
    },
    (error: unknown) => {
      place.textContent = "";
      render(<Failure message={error instanceof Error ? error.message : String(error)} />, place);
    },
  );
}
