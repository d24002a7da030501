// Colours and shapes that tell labels apart: eight colours, then the same in the next shape.
//
// Each eight were searched for the largest least distance in Ottosson's Oklab among themselves and to OTHER, as seen by all and without red, green or
// blue cones (Machado et al. 2009), with a contrast of three to the ground (WCAG 1.4.11). tests/apps/explorer/test_palette.py computes it anew:
// at least 0.10 (0.08 to OTHER), where Okabe and Ito's (2008) have 0.08 and contrasts from 1.3 on.

/** @type {{ light: string[], dark: string[] }} */
const COLOURS = {
  light: ["#4b87c3", "#e10f5a", "#007800", "#c3870f", "#960fd2", "#781e2d", "#0f3c96", "#ff1eff"],
  dark: ["#2d87c3", "#ff8700", "#3cc387", "#f096ff", "#e1005a", "#fff000", "#a51eff", "#87ffff"],
};
export const OTHER = "#8a939c";
export const SHAPES = ["disc", "triangle", "plus", "square"];
export const MOST_SIGNS = COLOURS.light.length * SHAPES.length;

export const colourOf = (index, isDark) => COLOURS[isDark ? "dark" : "light"][index % COLOURS.light.length];
export const shapeOf = index => Math.floor(index / COLOURS.light.length) % SHAPES.length;

// Whether a shape covers a place; both coordinates go from -1 to 1, y downwards. As the shader of map_webgl.js.
export function covers(shape, x, y) {
  const [ax, ay] = [Math.abs(x), Math.abs(y)];
  if (shape === 0) return Math.hypot(x, y) <= 1;
  if (shape === 1) return y <= 0.8 && ax <= (0.95 * (y + 1)) / 1.8;
  if (shape === 2) return Math.max(ax, ay) <= 1 && Math.min(ax, ay) <= 0.35;
  return Math.max(ax, ay) <= 0.85;
}

// The same as a path of SVG.
export const shapePath = shape => [
  "M-1 0a1 1 0 1 0 2 0a1 1 0 1 0-2 0",
  "M0-1L.95.8H-.95Z",
  "M-.35-1h.7v.65h.65v.7h-.65v.65h-.7v-.65h-.65v-.7h.65Z",
  "M-.85-.85h1.7v1.7h-1.7Z",
][shape];

// "#rrggbb" as the red in the lowest byte.
export function packed(hex) {
  const value = parseInt(hex.slice(1), 16);
  return ((value & 255) << 16) | (value & 0xff00) | (value >> 16);
}

export const RAMP = [[68, 30, 110], [42, 96, 158], [26, 152, 138], [122, 200, 72], [252, 228, 40]];  // dark to light, in even steps of lightness

// A colour of the ramp, packed; share from 0 to 1.
export function ramp(share) {
  const position = Math.max(0, Math.min(0.9999, share)) * (RAMP.length - 1), low = Math.floor(position), part = position - low;
  const [r, g, b] = RAMP[low].map((value, channel) => Math.round(value + part * (RAMP[low + 1][channel] - value)));
  return (b << 16) | (g << 8) | r;
}
