// Charts that can be zoomed, linked by their cursor, in place of those that the server drew.
//
// A page has groups: elements with data-charts, the address of their numbers. In a group each figure
// with data-series names what it shows. Dragging (on a phone: two fingers) zooms all charts of a
// group, and asks the server for the numbers of that span, which are finer the shorter it is; Reset or
// a double click shows the whole again. With the keyboard: arrows move the cursor, + and - zoom.
// The span stands in the page's address, so that what one sees can be sent.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

type Mark = { at: number; words: string };
type Numbers = { at: number[]; series: Record<string, (number | null)[]>; live: boolean; marks: Mark[] };
type Span = { since: number; until: number };

const EVERY_MS = 5000;
const HEIGHT = 168;
const LEAST_S = 10; // no shorter span is asked for
const TWOS = Array.from({ length: 50 }, (_, n) => 2 ** n); // steps that are round in bytes
const WHOLE = [1, 2, 5].flatMap((it) => Array.from({ length: 9 }, (_, n) => it * 10 ** n)).sort((a, b) => a - b);

const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const SIZES: [number, string][] = [
  [2 ** 40, " TiB"],
  [2 ** 30, " GiB"],
  [2 ** 20, " MiB"],
  [2 ** 10, " KiB"],
];

function told(value: number | null | undefined, unit: string): string {
  if (value == null) return "–";
  if (unit === "B" || unit === "B/s") {
    const [size, name] = SIZES.find(([size]) => Math.abs(value) >= size) ?? [1, " B"];
    return `${+(value / size).toFixed(1)}${name}${unit === "B/s" ? "/s" : ""}`;
  }
  if (unit === "s") return value < 1 ? `${+(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms` : `${+value.toFixed(1)} s`;
  if (unit === "cores") return `${+value.toFixed(value < 10 ? 1 : 0)}`;
  if (unit === "") return Math.round(value).toLocaleString();
  return `${Math.round(value)} ${unit}`;
}

// A tick, as exact as ticks are apart.
function tick(seconds: number, step: number): string {
  const at = new Date(seconds * 1000);
  if (step >= 86400) return at.toLocaleDateString([], { month: "short", day: "numeric" });
  const second = step < 60 ? ({ second: "2-digit" } as const) : {};
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...second });
  const midnight = at.getHours() === 0 && at.getMinutes() === 0;
  return midnight ? `${at.toLocaleDateString([], { month: "short", day: "numeric" })}` : time;
}

function moment(seconds: number): string {
  const at = new Date(seconds * 1000);
  const today = at.toDateString() === new Date().toDateString();
  return today ? at.toLocaleTimeString() : at.toLocaleString();
}

class Group {
  private readonly charts = new Map<HTMLElement, uPlot>();
  private readonly sync: uPlot.SyncPubSub;
  private readonly reset: HTMLButtonElement;
  private span: Span | null;
  private numbers: Numbers | null = null;
  private busy = false;
  private again = false;

  constructor(readonly root: HTMLElement, number: number) {
    this.sync = uPlot.sync(`charts-${number}`);
    const asked = new URLSearchParams(location.search);
    const [since, until] = [asked.get("from"), asked.get("to")].map((it) => Date.parse(it ?? "") / 1000);
    this.span = since && until && since < until ? { since, until } : null;
    this.reset = document.createElement("button");
    this.reset.type = "button";
    this.reset.className = "small reset";
    this.reset.textContent = "Reset zoom";
    this.reset.hidden = this.span === null;
    this.reset.addEventListener("click", () => this.zoom(null));
    root.before(this.reset);
  }

  async load(): Promise<void> {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    this.again = false;
    try {
      const url = new URL(this.root.dataset.charts ?? "", location.href);
      for (const name of ["from", "to"]) url.searchParams.delete(name);
      if (this.span) {
        url.searchParams.set("from", new Date(this.span.since * 1000).toISOString());
        url.searchParams.set("to", new Date(this.span.until * 1000).toISOString());
      }
      const answer = await fetch(url, { headers: { "X-Part": "numbers" } });
      if (!answer.ok) return;
      this.numbers = (await answer.json()) as Numbers;
      this.draw();
    } catch {
      // The page's own script tells that the server is away; the next look is the retry.
    } finally {
      this.busy = false;
      if (this.again) void this.load();
    }
  }

  get moves(): boolean {
    return (this.numbers?.live ?? true) && this.span === null;
  }

  // All anew: the colours are others.
  repaint(): void {
    for (const chart of this.charts.values()) chart.destroy();
    this.charts.clear();
    this.draw();
  }

  private draw(): void {
    if (!this.numbers) return;
    for (const figure of this.root.querySelectorAll<HTMLElement>("[data-series]")) this.show(figure, this.numbers);
  }

  private show(figure: HTMLElement, numbers: Numbers): void {
    const names = (figure.dataset.series ?? "").split(" ");
    const scales = (figure.dataset.scales ?? "").split(" ").map(Number);
    const series = names.map((it, n) => {
      const scale = scales[n] ?? 1;
      return (numbers.series[it] ?? []).map((one) => (one == null ? null : one * scale));
    });
    const data = [numbers.at, ...series] as uPlot.AlignedData;
    const unit = figure.dataset.unit ?? "";
    const known = this.charts.get(figure);
    if (known) {
      known.setData(data, true);
      this.tell(figure, known, unit);
      return;
    }
    const place = figure.querySelector<HTMLElement>(".draw");
    if (!place || numbers.at.length < 2) return;
    const words = place.getAttribute("aria-label") ?? place.querySelector("svg")?.getAttribute("aria-label") ?? "";
    place.replaceChildren();
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", words);
    place.tabIndex = 0;
    figure.classList.add("zoomable");
    const chart = new uPlot(this.options(figure, place, names), data, place);
    this.charts.set(figure, chart);
    this.listen(place, chart, figure);
    new ResizeObserver(() => {
      this.charts.get(figure)?.setSize({ width: place.clientWidth, height: HEIGHT });
    }).observe(place);
  }

  private options(figure: HTMLElement, place: HTMLElement, names: string[]): uPlot.Options {
    const unit = figure.dataset.unit ?? "";
    const labels = (figure.dataset.labels ?? "").split("|");
    const limits = new Set((figure.dataset.limits ?? "").split(" "));
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const steps = unit.startsWith("B") ? { incrs: TWOS } : unit === "" ? { incrs: WHOLE } : {};
    const lines = names.map((name, at) => {
      const limit = limits.has(name);
      return {
        label: labels[at] ?? "",
        stroke: colour(limit ? "--quiet-mark" : `--series-${(at % 5) + 1}`),
        width: limit ? 1.5 : 2,
        ...(limit ? { dash: [6, 4] } : {}),
        points: { show: false },
        spanGaps: false,
      };
    });
    return {
      width: place.clientWidth,
      height: HEIGHT,
      cursor: { sync: { key: this.sync.key }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      legend: { show: false },
      scales: { y: { range: (_plot, _least, most) => [0, most > 0 ? most * 1.08 : 1] } },
      padding: [null, 36, null, null], // half of a label with seconds
      axes: [
        { ...axis, size: 30, space: 84, values: (_plot, splits, _axis, _space, step) => splits.map((it) => tick(it, step)) },
        { ...axis, size: 76, ...steps, values: (_plot, values) => values.map((it) => told(it, unit)) },
      ],
      series: [{}, ...lines],
      hooks: {
        setCursor: [(plot) => this.tell(figure, plot, unit)],
        setSelect: [(plot) => this.select(plot)],
        draw: [(plot) => this.mark(plot)],
        ready: [(plot) => plot.over.addEventListener("dblclick", () => this.zoom(null))],
      },
    };
  }

  private listen(place: HTMLElement, chart: uPlot, figure: HTMLElement): void {
    place.onkeydown = (event) => {
      const at = chart.cursor.idx ?? chart.data[0].length - 1;
      const step = event.shiftKey ? 10 : 1;
      if (event.key === "ArrowLeft") this.look(chart, at - step);
      else if (event.key === "ArrowRight") this.look(chart, at + step);
      else if (event.key === "Home") this.look(chart, 0);
      else if (event.key === "End") this.look(chart, chart.data[0].length - 1);
      else if (event.key === "+" || event.key === "=") this.scale(chart, at, 0.5);
      else if (event.key === "-") this.scale(chart, at, 2);
      else if (event.key === "Escape" || event.key === "0") this.zoom(null);
      else return;
      event.preventDefault();
      place.setAttribute("aria-label", this.words(figure, chart));
    };
    place.onblur = () => chart.setCursor({ left: -10, top: -10 });
    let from: [number, number] | null = null; // two fingers: the moments under them
    const under = (touches: TouchList): [number, number] => {
      const left = chart.over.getBoundingClientRect().left;
      const at = [...touches].map((it) => chart.posToVal(it.clientX - left, "x")).sort((a, b) => a - b);
      return [at[0] ?? 0, at[1] ?? 0];
    };
    place.ontouchstart = (event) => {
      from = event.touches.length === 2 ? under(event.touches) : null;
    };
    place.ontouchmove = (event) => {
      if (from && event.touches.length === 2) event.preventDefault();
      else if (event.touches.length === 1 && event.touches[0]) {
        const box = chart.over.getBoundingClientRect();
        chart.setCursor({ left: event.touches[0].clientX - box.left, top: event.touches[0].clientY - box.top });
      }
    };
    place.ontouchend = (event) => {
      const to = event.changedTouches[0];
      if (!from || !to) return;
      const left = chart.over.getBoundingClientRect().left;
      const last = [...event.touches, to].map((it) => chart.posToVal(it.clientX - left, "x")).sort((a, b) => a - b);
      const factor = (from[1] - from[0]) / Math.max((last[last.length - 1] ?? 0) - (last[0] ?? 0), 1e-6);
      this.scale(chart, chart.valToIdx((from[0] + from[1]) / 2), factor);
      from = null;
    };
  }

  private look(chart: uPlot, at: number): void {
    const within = Math.min(Math.max(at, 0), chart.data[0].length - 1);
    chart.setCursor({ left: chart.valToPos(chart.data[0][within] ?? 0, "x"), top: 20 });
  }

  private scale(chart: uPlot, at: number, factor: number): void {
    const times = chart.data[0];
    const [first, last] = this.span ? [this.span.since, this.span.until] : [times[0] ?? 0, times[times.length - 1] ?? 0];
    const middle = times[at] ?? (first + last) / 2;
    const width = Math.max((last - first) * factor, LEAST_S);
    if (factor > 1 && !this.span) return;
    this.zoom({ since: middle - width / 2, until: middle + width / 2 });
  }

  // Under the cursor, or the newest.
  private tell(figure: HTMLElement, plot: uPlot, unit: string): void {
    const at = plot.cursor.idx ?? plot.data[0].length - 1;
    figure.querySelectorAll<HTMLElement>("[data-value]").forEach((place, n) => {
      const text = told(plot.data[n + 1]?.[at], unit);
      if (place.textContent !== text) place.textContent = text;
    });
    const when = figure.querySelector<HTMLElement>("[data-when]");
    const seconds = plot.data[0][at];
    if (!when) return;
    const near = this.nearest(plot, seconds);
    when.textContent = plot.cursor.idx == null || seconds == null ? "" : moment(seconds) + (near ? ` · ${near}` : "");
  }

  private nearest(plot: uPlot, seconds: number | undefined): string {
    if (seconds == null) return "";
    const x = plot.valToPos(seconds, "x");
    const close = (this.numbers?.marks ?? []).filter((it) => Math.abs(plot.valToPos(it.at, "x") - x) < 6);
    return close.map((it) => it.words).slice(0, 2).join(", ") + (close.length > 2 ? ` and ${close.length - 2} more` : "");
  }

  private words(figure: HTMLElement, plot: uPlot): string {
    const title = figure.querySelector("[data-title]")?.textContent ?? "";
    const unit = figure.dataset.unit ?? "";
    const labels = (figure.dataset.labels ?? "").split("|");
    const at = plot.cursor.idx ?? plot.data[0].length - 1;
    const values = labels.map((it, n) => `${it} ${told(plot.data[n + 1]?.[at], unit)}`).join(", ");
    return `${title}, ${moment(plot.data[0][at] ?? 0)}: ${values}`;
  }

  // A dashed line where a worker was lost or a shuffle began anew.
  private mark(plot: uPlot): void {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = colour("--bad-mark");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const it of this.numbers?.marks ?? []) {
      const x = Math.round(plot.valToPos(it.at, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  private select(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < 4) return;
    this.zoom({ since: plot.posToVal(left, "x"), until: plot.posToVal(left + width, "x") });
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  private zoom(span: Span | null): void {
    this.span = span;
    this.reset.hidden = span === null;
    const moved = (it: URL): URL => {
      for (const [name, value] of [["from", span?.since], ["to", span?.until]] as const) {
        if (value === undefined) it.searchParams.delete(name);
        else it.searchParams.set(name, new Date(value * 1000).toISOString());
      }
      if (span) it.searchParams.delete("last");
      return it;
    };
    history.replaceState(null, "", moved(new URL(location.href)));
    // Files and other views of the same span; the fields of the form that chose it.
    for (const link of document.querySelectorAll<HTMLAnchorElement>("a[data-span]")) {
      link.href = moved(new URL(link.href)).toString();
    }
    for (const [name, value] of [["from", span?.since], ["to", span?.until]] as const) {
      for (const field of document.querySelectorAll<HTMLInputElement>(`form[data-auto] input[name="${name}"]`)) {
        field.value = value === undefined ? "" : new Date(value * 1000).toISOString();
        field.disabled = value === undefined;
        field.dispatchEvent(new Event("moved"));
      }
    }
    void this.load();
  }
}

let groups: Group[] = [];
let made = 0;

function begin(): void {
  groups = groups.filter((it) => it.root.isConnected);
  for (const root of document.querySelectorAll<HTMLElement>("[data-charts]")) {
    if (groups.some((it) => it.root === root)) continue;
    const group = new Group(root, made++);
    groups.push(group);
    void group.load();
  }
}

begin();
document.addEventListener("swapped", begin);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => groups.forEach((it) => it.repaint()));
setInterval(() => {
  if (!document.hidden) for (const group of groups) if (group.moves) void group.load();
}, EVERY_MS);
