// An image on a canvas: zoom, pan, markers, and pointers (mouse, pen, fingers). Coordinates are stored pixels.

const HIT = { mouse: 11, pen: 14, touch: 24 }; // screen pixels around a marker that grab it
const SLOP = 4;

export class Stage {
  constructor(canvas, handlers) {
    this.canvas = canvas; this.handlers = handlers;
    this.image = null; this.size = [1, 1]; this.scale = 1; this.offset = [0, 0]; this.markers = []; this.cursor = null;
    this.pointers = new Map(); this.drag = null; this.loupe = null; this.pending = false;
    new ResizeObserver(() => this.fit()).observe(canvas);
    canvas.addEventListener("pointerdown", (e) => this.down(e));
    canvas.addEventListener("pointermove", (e) => this.move(e));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (e) => this.up(e));
    canvas.addEventListener("wheel", (e) => { e.preventDefault(); this.zoom(Math.exp(-e.deltaY * 0.0015), [e.offsetX, e.offsetY]); }, { passive: false });
    canvas.addEventListener("contextmenu", (e) => e.preventDefault());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(image, size) { this.image = image; this.size = size; this.cursor = null; this.fit(); }

  get view() { return [this.canvas.clientWidth, this.canvas.clientHeight]; }

  fit() {
    const [w, h] = this.view;
    this.scale = this.fitScale = 0.96 * Math.min(w / this.size[0], h / this.size[1]) || 1;
    this.offset = [(w - this.scale * this.size[0]) / 2, (h - this.scale * this.size[1]) / 2];
    this.draw();
  }

  toScreen([x, y]) { return [x * this.scale + this.offset[0], y * this.scale + this.offset[1]]; }
  toImage([x, y]) { return [(x - this.offset[0]) / this.scale, (y - this.offset[1]) / this.scale]; }
  inside([x, y]) { return x >= 0 && y >= 0 && x <= this.size[0] && y <= this.size[1]; }
  clamp([x, y]) { return [Math.min(Math.max(x, 0), this.size[0]), Math.min(Math.max(y, 0), this.size[1])]; }

  zoom(factor, at) {
    const place = at || [this.view[0] / 2, this.view[1] / 2];
    const before = this.toImage(place);
    this.scale = Math.min(Math.max(this.scale * factor, this.fitScale * 0.8), Math.max(40, this.fitScale));
    this.offset = [place[0] - before[0] * this.scale, place[1] - before[1] * this.scale];
    this.draw();
  }

  reveal(point) { // pan so that a point is on the screen
    const [x, y] = this.toScreen(point), [w, h] = this.view;
    if (x < 20 || y < 20 || x > w - 20 || y > h - 20) {
      this.offset = [this.offset[0] + w / 2 - x, this.offset[1] + h / 2 - y];
    }
    this.draw();
  }

  hit(place, kind) {
    const reach = HIT[kind] || 11;
    let best = null;
    for (const marker of this.markers) {
      const [x, y] = this.toScreen(marker.point);
      const d = Math.hypot(x - place[0], y - place[1]) - (marker.chosen ? 3 : 0);
      if (d < reach && (!best || d < best.d)) best = { marker, d };
    }
    return best && best.marker;
  }

  down(e) {
    this.canvas.focus();
    this.canvas.setPointerCapture(e.pointerId);
    const place = [e.offsetX, e.offsetY];
    this.pointers.set(e.pointerId, place);
    if (this.pointers.size === 2) { this.startPinch(); return; }
    const marker = e.button === 0 ? this.hit(place, e.pointerType) : null;
    this.drag = { start: place, offset: [...this.offset], marker, pan: e.button !== 0, moved: false, kind: e.pointerType,
      grab: marker ? this.toScreen(marker.point).map((v, i) => v - place[i]) : null };
  }

  startPinch() {
    const [a, b] = [...this.pointers.values()];
    this.drag = null; this.loupe = null;
    this.pinch = { distance: Math.hypot(a[0] - b[0], a[1] - b[1]), middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] };
  }

  move(e) {
    const place = [e.offsetX, e.offsetY];
    if (!this.pointers.has(e.pointerId)) return;
    this.pointers.set(e.pointerId, place);
    if (this.pinch && this.pointers.size === 2) {
      const [a, b] = [...this.pointers.values()];
      const distance = Math.hypot(a[0] - b[0], a[1] - b[1]), middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
      this.offset = this.offset.map((v, i) => v + middle[i] - this.pinch.middle[i]);
      this.zoom(distance / Math.max(this.pinch.distance, 1), middle);
      this.pinch = { distance, middle };
      return;
    }
    const drag = this.drag;
    if (!drag) return;
    if (Math.hypot(place[0] - drag.start[0], place[1] - drag.start[1]) > SLOP) drag.moved = true;
    if (!drag.moved) return;
    if (drag.marker) {
      drag.marker.point = this.clamp(this.toImage([place[0] + drag.grab[0], place[1] + drag.grab[1]]));
      this.loupe = drag.kind === "touch" ? drag.marker.point : null;
    } else {
      this.offset = [drag.offset[0] + place[0] - drag.start[0], drag.offset[1] + place[1] - drag.start[1]];
    }
    this.draw();
  }

  up(e) {
    const known = this.pointers.delete(e.pointerId), drag = this.drag;
    if (this.pinch) { if (!this.pointers.size) this.pinch = null; return; }
    this.drag = null; this.loupe = null;
    if (!known || !drag || e.type === "pointercancel") { this.draw(); return; }
    if (drag.marker && drag.moved) this.handlers.moved(drag.marker.name, drag.marker.point);
    else if (drag.marker && !drag.marker.chosen) this.handlers.chosen(drag.marker.name);
    else if (!drag.moved && !drag.pan) {
      const point = this.toImage([e.offsetX, e.offsetY]);
      if (this.inside(point)) this.handlers.clicked(point);
    }
    this.draw();
  }

  draw() {
    if (!this.pending) { this.pending = true; requestAnimationFrame(() => { this.pending = false; this.paint(); }); }
  }

  paint() {
    const ratio = devicePixelRatio || 1, [w, h] = this.view, g = this.canvas.getContext("2d");
    if (this.canvas.width !== Math.round(w * ratio) || this.canvas.height !== Math.round(h * ratio)) {
      this.canvas.width = Math.round(w * ratio); this.canvas.height = Math.round(h * ratio);
    }
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, w, h);
    if (!this.image) return;
    g.imageSmoothingEnabled = this.scale < 4;
    g.drawImage(this.image, this.offset[0], this.offset[1], this.size[0] * this.scale, this.size[1] * this.scale);
    for (const marker of [...this.markers].sort((a, b) => (a.chosen || false) - (b.chosen || false))) drawMarker(g, this.toScreen(marker.point), marker);
    if (this.cursor) drawCross(g, this.toScreen(this.cursor), w, h);
    if (this.loupe) this.paintLoupe(g);
  }

  paintLoupe(g) { // what the finger covers, three times as large, in the corner that is away from it
    const r = 64, [x, y] = this.toScreen(this.loupe), cx = x < this.view[0] / 2 ? this.view[0] - r - 12 : r + 12, cy = r + 12, z = this.scale * 3;
    g.save(); g.beginPath(); g.arc(cx, cy, r, 0, 7); g.clip();
    g.drawImage(this.image, cx - this.loupe[0] * z, cy - this.loupe[1] * z, this.size[0] * z, this.size[1] * z);
    g.strokeStyle = "#fff"; g.lineWidth = 3; line(g, cx - 9, cy, cx + 9, cy); line(g, cx, cy - 9, cx, cy + 9);
    g.strokeStyle = "#000"; g.lineWidth = 1; line(g, cx - 9, cy, cx + 9, cy); line(g, cx, cy - 9, cx, cy + 9);
    g.restore(); g.strokeStyle = "#888"; g.lineWidth = 2; g.beginPath(); g.arc(cx, cy, r, 0, 7); g.stroke();
  }
}

const COLORS = { visible: "#00a878", unsure: "#f0a030", suggested: "#f0a030", chosen: "#1e90ff", vote: "#d070d0", unknown: "#e0405a" };

export function drawMarker(g, [x, y], marker) {
  const color = marker.chosen ? COLORS.chosen : COLORS[marker.kind] || COLORS.visible, r = marker.small ? 3 : marker.chosen ? 8 : 6;
  g.lineWidth = 4; g.strokeStyle = "rgba(255,255,255,.9)"; ring(g, x, y, r);
  g.setLineDash(marker.kind === "suggested" ? [3, 3] : []);
  g.lineWidth = 2; g.strokeStyle = color; ring(g, x, y, r);
  g.setLineDash([]);
  g.fillStyle = color; g.beginPath(); g.arc(x, y, 1.6, 0, 7); g.fill();
  if (marker.label && !marker.small) {
    g.font = "600 11px system-ui, sans-serif"; g.lineWidth = 3; g.strokeStyle = "rgba(255,255,255,.9)";
    g.strokeText(marker.label, x + r + 3, y - r); g.fillStyle = "#16202c"; g.fillText(marker.label, x + r + 3, y - r);
  }
}

export function drawCross(g, [x, y], w, h) {
  for (const [width, color] of [[3, "rgba(255,255,255,.7)"], [1, "#1e60c0"]]) {
    g.lineWidth = width; g.strokeStyle = color;
    line(g, x - 400, y, x - 7, y); line(g, x + 7, y, x + 400, y); line(g, x, y - 400, x, y - 7); line(g, x, y + 7, x, y + 400);
  }
}

const line = (g, a, b, c, d) => { g.beginPath(); g.moveTo(a, b); g.lineTo(c, d); g.stroke(); };
const ring = (g, x, y, r) => { g.beginPath(); g.arc(x, y, r, 0, 7); g.stroke(); };

// A picture that fills a small canvas, with one point marked; zoomed towards the point where that shows more.
export function drawCard(canvas, image, point) {
  const ratio = devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight, g = canvas.getContext("2d");
  canvas.width = w * ratio; canvas.height = h * ratio;
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, w, h);
  const scale = Math.min(w / image.width, h / image.height), left = (w - scale * image.width) / 2, top = (h - scale * image.height) / 2;
  g.drawImage(image, left, top, scale * image.width, scale * image.height);
  drawMarker(g, [left + scale * point.x, top + scale * point.y], { chosen: true });
}
