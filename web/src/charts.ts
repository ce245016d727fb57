// Charts that can be zoomed, linked by their cursor, in place of those that the server drew.
//
// A page has groups: elements with data-charts, the address of their numbers. In a group each figure
// with data-series names what it shows. Dragging zooms all charts of a group, and asks the server for
// the numbers of that span, which are finer the shorter it is; a double click shows the whole again.
// The span stands in the page's address, so that what one sees can be sent.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

type Numbers = { at: number[]; series: Record<string, (number | null)[]>; live: boolean };
type Span = { since: number; until: number };

const EVERY_MS = 5000;
const HEIGHT = 168;
const TWOS = Array.from({ length: 50 }, (_, n) => 2 ** n); // steps that are round in bytes

const style = getComputedStyle(document.documentElement);
const colour = (name: string): string => style.getPropertyValue(name).trim();

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
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 1 : 3;
  return `${+value.toFixed(digits)}${unit === "%" ? " %" : unit ? ` ${unit}` : ""}`;
}

// A tick, as exact as ticks are apart.
function moment(seconds: number, step: number): string {
  const at = new Date(seconds * 1000);
  if (step >= 86400) return at.toLocaleDateString([], { month: "short", day: "numeric" });
  const second = step < 60 ? ({ second: "2-digit" } as const) : {};
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...second });
  const midnight = at.getHours() === 0 && at.getMinutes() === 0;
  return midnight ? `${at.toLocaleDateString([], { month: "short", day: "numeric" })}` : time;
}

class Group {
  private readonly charts = new Map<HTMLElement, uPlot>();
  private readonly sync: uPlot.SyncPubSub;
  private span: Span | null;
  private busy = false;
  private live = true;

  constructor(private readonly root: HTMLElement, number: number) {
    this.sync = uPlot.sync(`charts-${number}`);
    const asked = new URLSearchParams(location.search);
    const [since, until] = [asked.get("from"), asked.get("to")].map((it) => Date.parse(it ?? "") / 1000);
    this.span = since && until && since < until ? { since, until } : null;
  }

  async load(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      const url = new URL(this.root.dataset.charts ?? "", location.href);
      if (this.span) {
        url.searchParams.set("from", new Date(this.span.since * 1000).toISOString());
        url.searchParams.set("to", new Date(this.span.until * 1000).toISOString());
      }
      const answer = await fetch(url, { headers: { "X-Part": "numbers" } });
      if (!answer.ok) return;
      const numbers = (await answer.json()) as Numbers;
      this.live = numbers.live;
      for (const figure of this.root.querySelectorAll<HTMLElement>("[data-series]")) {
        this.show(figure, numbers);
      }
    } catch {
      // The page's own script tells that the server is away; the next look is the retry.
    } finally {
      this.busy = false;
    }
  }

  get moves(): boolean {
    return this.live && this.span === null;
  }

  private show(figure: HTMLElement, numbers: Numbers): void {
    const names = (figure.dataset.series ?? "").split(" ");
    const data = [numbers.at, ...names.map((it) => numbers.series[it] ?? [])] as uPlot.AlignedData;
    const known = this.charts.get(figure);
    if (known) {
      known.setData(data, true);
      this.tell(figure, known, figure.dataset.unit ?? "");
      return;
    }
    const place = figure.querySelector<HTMLElement>(".draw");
    if (!place || numbers.at.length < 2) return;
    place.replaceChildren();
    figure.classList.add("zoomable");
    this.charts.set(figure, new uPlot(this.options(figure, place, names), data, place));
    new ResizeObserver(() => {
      this.charts.get(figure)?.setSize({ width: place.clientWidth, height: HEIGHT });
    }).observe(place);
  }

  private options(figure: HTMLElement, place: HTMLElement, names: string[]): uPlot.Options {
    const unit = figure.dataset.unit ?? "";
    const labels = (figure.dataset.labels ?? "").split("|");
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    return {
      width: place.clientWidth,
      height: HEIGHT,
      cursor: { sync: { key: this.sync.key }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      legend: { show: false },
      scales: { y: { range: (_plot, _least, most) => [0, most > 0 ? most * 1.08 : 1] } },
      axes: [
        { ...axis, size: 30, space: 72, values: (_plot, splits, _axis, _space, step) => splits.map((it) => moment(it, step)) },
        { ...axis, size: 76, ...(unit.startsWith("B") ? { incrs: TWOS } : {}), values: (_plot, values) => values.map((it) => told(it, unit)) },
      ],
      series: [
        {},
        ...names.map((_, at) => ({
          label: labels[at] ?? "",
          stroke: colour(`--series-${at + 1}`),
          width: 2,
          points: { show: false },
          spanGaps: false,
        })),
      ],
      hooks: {
        setCursor: [(plot) => this.tell(figure, plot, unit)],
        setSelect: [(plot) => this.select(plot)],
        ready: [(plot) => plot.over.addEventListener("dblclick", () => this.zoom(null))],
      },
    };
  }

  // Under the cursor, or the newest.
  private tell(figure: HTMLElement, plot: uPlot, unit: string): void {
    const at = plot.cursor.idx ?? plot.data[0].length - 1;
    figure.querySelectorAll<HTMLElement>("[data-value]").forEach((place, n) => {
      place.textContent = told(plot.data[n + 1]?.[at], unit);
    });
  }

  private select(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < 4) return;
    this.zoom({ since: plot.posToVal(left, "x"), until: plot.posToVal(left + width, "x") });
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  private zoom(span: Span | null): void {
    this.span = span;
    const url = new URL(location.href);
    for (const [name, value] of [["from", span?.since], ["to", span?.until]] as const) {
      if (value === undefined) url.searchParams.delete(name);
      else url.searchParams.set(name, new Date(value * 1000).toISOString());
    }
    history.replaceState(null, "", url);
    void this.load();
  }
}

const groups = [...document.querySelectorAll<HTMLElement>("[data-charts]")].map((it, n) => new Group(it, n));
for (const group of groups) void group.load();
setInterval(() => {
  if (!document.hidden) for (const group of groups) if (group.moves) void group.load();
}, EVERY_MS);
