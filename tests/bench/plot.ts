/** A point with a name. */
export interface Point {
  name: string;
  x: number;
  y: number;
}

/** One group of bars. */
export interface Bars {
  name: string;
  values: readonly number[];
}

const WIDTH = 640, HEIGHT = 380;
const LEFT = 64, RIGHT = 24, TOP = 48, BOTTOM = 52;
const COLORS = ["#0b6e4f", "#c44536", "#3d5a80", "#8d6a9f", "#a98600"];

/** Points in a plane, each named, as an SVG document. */
export function scatter(
  title: string,
  x: { title: string; from?: number },
  y: { title: string },
  points: readonly Point[],
): string {
  const across = axis(points.map((point) => point.x), x.from);
  const up = axis(points.map((point) => point.y));
  const px = (value: number) => LEFT + across.share(value) * inner.width;
  const py = (value: number) => TOP + (1 - up.share(value)) * inner.height;
  const marks = points.map(({ name, x, y }, index) => {
    const right = across.share(x) > 0.6;
    return `<circle cx="${n(px(x))}" cy="${n(py(y))}" r="5" fill="${
      COLORS[index % COLORS.length]
    }"/>` +
      label(name, px(x) + (right ? -9 : 9), py(y) + 4, right ? "end" : "start");
  });
  return frame(title, [
    ...grid(x.title, y.title, across.ticks, up.ticks, px, py),
    ...marks,
  ]);
}

/** Curves over a common x from zero, as an SVG document. */
export function curves(
  title: string,
  x: { title: string },
  y: { title: string },
  series: readonly {
    name: string;
    points: readonly [x: number, y: number][];
  }[],
): string {
  const all = series.flatMap(({ points }) => points);
  const across = axis(all.map(([x]) => x), 0);
  const up = axis([0, ...all.map(([, y]) => y)], 0);
  const px = (value: number) => LEFT + across.share(value) * inner.width;
  const py = (value: number) => TOP + (1 - up.share(value)) * inner.height;
  const paths = series.map(({ points }, index) =>
    `<path d="M${
      points.map(([x, y]) => `${n(px(x))} ${n(py(y))}`).join("L")
    }" fill="none" stroke="${
      COLORS[index % COLORS.length]
    }" stroke-width="1.5"/>`
  );
  const legend = series.map(({ name }, index) =>
    `<rect x="${LEFT + 12}" y="${
      HEIGHT - BOTTOM - 18 - index * 18
    }" width="12" height="3" fill="${COLORS[index % COLORS.length]}"/>` +
    label(name, LEFT + 30, HEIGHT - BOTTOM - 12 - index * 18, "start")
  );
  return frame(title, [
    ...grid(x.title, y.title, across.ticks, up.ticks, px, py),
    ...paths,
    ...legend,
  ]);
}

/** Groups of bars beside each other from zero, as an SVG document. */
export function bars(
  title: string,
  unit: string,
  series: readonly string[],
  groups: readonly Bars[],
): string {
  const up = axis([0, ...groups.flatMap(({ values }) => values)], 0);
  const py = (value: number) => TOP + (1 - up.share(value)) * inner.height;
  const step = inner.width / groups.length;
  const wide = step * 0.8 / series.length;
  const body = groups.flatMap(({ name, values }, group) => {
    const left = LEFT + step * group + step * 0.1;
    return [
      ...values.map((value, index) =>
        `<rect x="${n(left + wide * index)}" y="${n(py(value))}" width="${
          n(wide - 2)
        }" height="${n(py(0) - py(value))}" fill="${
          COLORS[index % COLORS.length]
        }"/>`
      ),
      label(name, left + step * 0.4, HEIGHT - BOTTOM + 18, "middle"),
    ];
  });
  const legend = series.map((name, index) =>
    `<rect x="${LEFT + index * 120}" y="${
      HEIGHT - 22
    }" width="12" height="12" fill="${COLORS[index % COLORS.length]}"/>` +
    label(name, LEFT + index * 120 + 17, HEIGHT - 12, "start")
  );
  return frame(title, [
    ...up.ticks.map((tick) =>
      line(LEFT, py(tick), WIDTH - RIGHT, py(tick)) +
      label(short(tick), LEFT - 8, py(tick) + 4, "end")
    ),
    label(unit, LEFT - 48, TOP - 10, "start"),
    ...body,
    ...legend,
  ]);
}

const inner = { width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };

/** Round ticks around the values, and a value's place among them, 0..1. */
function axis(values: readonly number[], from?: number) {
  const low = from ?? Math.min(...values), high = Math.max(...values);
  const rough = (high - low || 1) / 5,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough)! * power;
  const first = Math.floor(low / step) * step;
  const last = Math.ceil(high / step) * step;
  const count = Math.max(1, Math.round((last - first) / step));
  return {
    ticks: Array.from({ length: count + 1 }, (_, i) => first + i * step),
    share: (value: number) => (value - first) / (count * step),
  };
}

/** Lines at the ticks of both axes, the ticks' numbers and the axes' titles. */
function grid(
  xTitle: string,
  yTitle: string,
  xTicks: readonly number[],
  yTicks: readonly number[],
  px: (value: number) => number,
  py: (value: number) => number,
): string[] {
  return [
    ...xTicks.map((tick) =>
      line(px(tick), TOP, px(tick), HEIGHT - BOTTOM) +
      label(short(tick), px(tick), HEIGHT - BOTTOM + 18, "middle")
    ),
    ...yTicks.map((tick) =>
      line(LEFT, py(tick), WIDTH - RIGHT, py(tick)) +
      label(short(tick), LEFT - 8, py(tick) + 4, "end")
    ),
    label(xTitle, LEFT + inner.width / 2, HEIGHT - 12, "middle"),
    label(yTitle, LEFT - 48, TOP - 10, "start"),
  ];
}

function frame(title: string, body: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">
<title>${escape(title)}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${
    WIDTH / 2
  }" y="20" text-anchor="middle" font-size="14" font-weight="600" fill="#222">${
    escape(title)
  }</text>
${body.join("\n")}
</svg>
`;
}

function label(text: string, x: number, y: number, anchor: string): string {
  return `<text x="${n(x)}" y="${n(y)}" text-anchor="${anchor}" fill="#222">${
    escape(text)
  }</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<path d="M${n(x1)} ${n(y1)}L${n(x2)} ${n(y2)}" stroke="#ddd"/>`;
}

function n(value: number): string {
  return Number(value.toFixed(1)).toString();
}

function short(value: number): string {
  return Number(value.toPrecision(6)).toString();
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
