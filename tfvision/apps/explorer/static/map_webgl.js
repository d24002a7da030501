// Draws the points of the map by WebGL, 1 or 2. `WebglPainter.of(canvas)` is null where the browser has none, or only one that is computed
// without a graphics card: SwiftShader takes a microsecond a point, map_canvas.js a fiftieth of it.

const WITHOUT_CARD = /SwiftShader|llvmpipe|softpipe|software|Basic Render/i;

const VERTEX = `
attribute vec2 place;
attribute vec4 look;  // red, green, blue; 0: hidden, else 1 + shape, + 8: dimmed
uniform vec2 middle, scale;
uniform mediump float size;  // of one precision in both shaders
uniform float opacity;
varying vec4 colour;
varying float shape;
void main() {
  float kind = floor(look.a * 255.0 + 0.5);
  gl_Position = kind < 0.5 ? vec4(2.0, 2.0, 2.0, 1.0) : vec4((place - middle) * scale, 0.0, 1.0);
  gl_PointSize = size;
  float alpha = kind > 8.5 ? 0.2 * opacity : opacity;
  colour = vec4(look.rgb * alpha, alpha);
  shape = mod(kind - 1.0, 8.0);
}`;

// As `covers` of palette.js.
const FRAGMENT = `
precision mediump float;
uniform float size;
varying vec4 colour;
varying float shape;
void main() {
  float cover = 1.0;
  if (size > 3.5) {
    vec2 at = gl_PointCoord * 2.0 - 1.0, off = abs(at);
    float edge = shape < 0.5 ? length(at)
      : shape < 1.5 ? max(at.y / 0.8, off.x / 0.95 + 1.0 - (at.y + 1.0) / 1.8)
      : shape < 2.5 ? max(max(off.x, off.y), min(off.x, off.y) + 0.65)
      : max(off.x, off.y) / 0.85;
    cover = clamp((1.0 - edge) * size * 0.5 + 0.5, 0.0, 1.0);
    if (cover <= 0.0) discard;
  }
  gl_FragColor = colour * cover;
}`;

export class WebglPainter {
  kind = "webgl";

  /** @param {HTMLCanvasElement} canvas */
  static of(canvas) {
    const options = { failIfMajorPerformanceCaveat: true, antialias: false, depth: false, stencil: false, premultipliedAlpha: true };
    const gl = /** @type {WebGLRenderingContext | null} */ (canvas.getContext("webgl2", options) || canvas.getContext("webgl", options));
    if (!gl) return null;
    const program = WITHOUT_CARD.test(rendererOf(gl)) ? null : programOf(gl), painter = program && new WebglPainter(gl, program);
    if (!painter) lose(gl);
    return painter;
  }

  /** @param {WebGLRenderingContext} gl  @param {WebGLProgram} program */
  constructor(gl, program) {
    this.gl = gl;
    this.places = gl.createBuffer();
    this.looks = gl.createBuffer();
    const uniform = name => gl.getUniformLocation(program, name);
    this.uniforms = { middle: uniform("middle"), scale: uniform("scale"), size: uniform("size"), opacity: uniform("opacity") };
    this.points = /** @type {import("./map_points.js").Points | null} */ (null);
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.attribute(program, "place", this.places, 2, gl.FLOAT);
    this.attribute(program, "look", this.looks, 4, gl.UNSIGNED_BYTE);
  }

  attribute(program, name, buffer, size, type) {
    const { gl } = this, location = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(location);
    gl.vertexAttribPointer(location, size, type, type === gl.UNSIGNED_BYTE, 0, 0);
  }

  /** @param {import("./map_points.js").Points} points */
  take(points) {
    const { gl } = this;
    this.points = points;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.places);
    gl.bufferData(gl.ARRAY_BUFFER, points.places, gl.STATIC_DRAW);
  }

  // looks: red, green, blue and kind (as in the shader) of each row, the red in the lowest byte.
  /** @param {Uint32Array} looks */
  look(looks) {
    const { gl, points } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.looks);
    if (points) gl.bufferData(gl.ARRAY_BUFFER, points.ordered(looks), gl.DYNAMIC_DRAW);
  }

  clear() {
    this.gl.viewport(0, 0, this.gl.drawingBufferWidth, this.gl.drawingBufferHeight);
    this.gl.clearColor(0, 0, 0, 0);
    this.gl.clear(this.gl.COLOR_BUFFER_BIT);
  }

  // view: { x, y, scale (px a unit), width, height, ratio, box, levels, size (px), opacity }
  draw({ x, y, scale, width, height, ratio, box, levels, size, opacity }) {
    const { gl, points } = this;
    this.clear();
    if (!points) return;
    gl.uniform2f(this.uniforms.middle, x, y);
    gl.uniform2f(this.uniforms.scale, (2 * scale) / width, (2 * scale) / height);
    gl.uniform1f(this.uniforms.size, size * ratio);
    gl.uniform1f(this.uniforms.opacity, opacity);
    for (let level = 0; level < levels; level++) {
      for (const [from, to] of points.cells(box, level)) {
        const start = points.starts[from], count = points.starts[to] - start;
        if (count) gl.drawArrays(gl.POINTS, start, count);
      }
    }
  }

  destroy() {
    lose(this.gl);
  }
}

/** @param {WebGLRenderingContext} gl */
function rendererOf(gl) {
  const told = gl.getExtension("WEBGL_debug_renderer_info");
  return String(gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
}

// Gives a context back: a browser has sixteen.
/** @param {WebGLRenderingContext} gl */
function lose(gl) {
  gl.getExtension("WEBGL_lose_context")?.loseContext();
}

/** @param {WebGLRenderingContext} gl */
function programOf(gl) {
  const program = gl.createProgram();
  if (!program) return null;
  for (const [type, text] of /** @type {[number, string][]} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]])) {
    const shader = gl.createShader(type);
    if (!shader) return null;
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : null;
}
