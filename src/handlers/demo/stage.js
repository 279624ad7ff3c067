/**
 * @typedef {import("../../types.ts").Face} Face
 */

/** The photo or film on its canvas, with boxes and points over it. */
export class Stage {
  /** @type {HTMLCanvasElement} */ #canvas;
  /** @type {ImageBitmap | HTMLVideoElement | undefined} */ #photo;
  /** @type {Face[]} */ #faces = [];
  /** Faces are in pixels of a picture this wide. */
  #width = 1;
  /** @type {number | undefined} */ #active;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener(
      "change",
      () => this.#draw(),
    );
  }

  /** @param {ImageBitmap | HTMLVideoElement | undefined} photo A video is drawn anew with every `redraw()`. */
  setPhoto(photo) {
    if (this.#photo instanceof ImageBitmap) this.#photo.close();
    this.#photo = photo;
    this.#canvas.hidden = !photo;
    if (photo) {
      const { width, height } = sizeOf(photo);
      this.#canvas.style.setProperty("aspect-ratio", `${width} / ${height}`);
      this.#canvas.style.setProperty("--ratio", String(width / height));
    }
    this.setFaces([], photo ? sizeOf(photo).width : 1);
  }

  /** Draws the film's newest frame. */
  redraw() {
    this.#draw();
  }

  /**
   * @param {Face[]} faces
   * @param {number} width The upright photo's width as the server saw it.
   */
  setFaces(faces, width) {
    this.#faces = faces;
    this.#width = width;
    this.#active = undefined;
    this.#draw();
  }

  /** @param {number | undefined} index */
  setActive(index) {
    if (this.#active === index) return;
    this.#active = index;
    this.#draw();
  }

  /**
   * The smallest face under a pointer.
   *
   * @param {PointerEvent | MouseEvent} event
   * @returns {number | undefined}
   */
  faceAt(event) {
    const scale = this.#width / this.#canvas.clientWidth;
    const [x, y] = [event.offsetX * scale, event.offsetY * scale];
    const hits = this.#faces.keys().filter((index) => {
      const box = this.#box(index);
      return x >= box.x && y >= box.y && x <= box.x + box.width &&
        y <= box.y + box.height;
    });
    return [...hits].sort((a, b) => this.#box(a).width - this.#box(b).width)[0];
  }

  /**
   * A square cut-out of a face, turned upright, or undefined without a photo.
   *
   * @param {Face} face
   * @param {number} side
   */
  crop(face, side) {
    if (!this.#photo) return undefined;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    if (!context) return undefined;
    const { x, y, width, height } = face.boundingBox;
    const toPhoto = sizeOf(this.#photo).width / this.#width;
    const scale = side / (Math.max(width, height) * 1.15) / toPhoto;
    context.imageSmoothingQuality = "high";
    context.translate(side / 2, side / 2);
    context.rotate(-face.rollDegrees * Math.PI / 180);
    context.scale(scale, scale);
    context.drawImage(
      this.#photo,
      -(x + width / 2) * toPhoto,
      -(y + height / 2) * toPhoto,
    );
    return canvas;
  }

  /** @param {number} index */
  #box(index) {
    return /** @type {Face} */ (this.#faces[index]).boundingBox;
  }

  #draw() {
    const photo = this.#photo;
    const context = this.#canvas.getContext("2d");
    const { clientWidth, clientHeight } = this.#canvas;
    if (!photo || !context || clientWidth === 0) return;
    const ratio = devicePixelRatio;
    this.#canvas.width = Math.round(clientWidth * ratio);
    this.#canvas.height = Math.round(clientHeight * ratio);
    context.scale(ratio, ratio);
    context.imageSmoothingQuality = "high";
    context.drawImage(photo, 0, 0, clientWidth, clientHeight);
    const accent = getComputedStyle(this.#canvas).getPropertyValue("--on-photo")
      .trim();
    for (const index of this.#faces.keys()) {
      if (index !== this.#active) this.#drawFace(context, index, accent);
    }
    if (this.#active !== undefined) {
      this.#drawFace(context, this.#active, accent);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} index
   * @param {string} accent
   */
  #drawFace(context, index, accent) {
    const face = /** @type {Face} */ (this.#faces[index]);
    const scale = this.#canvas.clientWidth / this.#width;
    const { x, y, width, height } = face.boundingBox;
    const box = new DOMRect(
      x * scale,
      y * scale,
      width * scale,
      height * scale,
    );
    const active = index === this.#active;
    const dimmed = this.#active !== undefined && !active;
    context.globalAlpha = dimmed ? 0.45 : 1;
    frame(context, box, {
      width: active ? 6 : 4.5,
      color: "rgb(0 0 0 / 0.35)",
    });
    frame(context, box, {
      width: active ? 3.5 : 2,
      color: accent,
      dash: face.expression?.decision === "uncertain" ? [6, 5] : [],
    });
    const radius = Math.min(3.5, Math.max(1.8, box.width / 30));
    for (const point of Object.values(face.landmarks ?? {})) {
      context.beginPath();
      context.arc(point.x * scale, point.y * scale, radius, 0, Math.PI * 2);
      context.fillStyle = "white";
      context.fill();
      context.lineWidth = 1;
      context.strokeStyle = "rgb(0 0 0 / 0.55)";
      context.stroke();
    }
    this.#drawTag(context, `${index + 1}`, box.x, box.y);
    context.globalAlpha = 1;
  }

  /**
   * The face's number in a small plate at the box's corner, kept inside the photo.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {string} text
   * @param {number} left
   * @param {number} top
   */
  #drawTag(context, text, left, top) {
    context.font = "600 12px system-ui, sans-serif";
    const width = context.measureText(text).width + 13;
    const x = Math.max(
      2,
      Math.min(left - 1, this.#canvas.clientWidth - width - 2),
    );
    const y = top > 26 ? top - 25 : Math.max(4, top + 4);
    context.beginPath();
    context.roundRect(x, y, width, 20, 6);
    context.fillStyle = "rgb(12 18 18 / 0.82)";
    context.fill();
    context.fillStyle = "white";
    context.textBaseline = "middle";
    context.fillText(text, x + 6.5, y + 10.5);
  }
}

/** @param {ImageBitmap | HTMLVideoElement} photo */
function sizeOf(photo) {
  return photo instanceof HTMLVideoElement
    ? { width: photo.videoWidth, height: photo.videoHeight }
    : photo;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {DOMRect} box
 * @param {{ width: number, color: string, dash?: number[] }} line
 */
function frame(context, box, { width, color, dash = [] }) {
  context.beginPath();
  context.roundRect(
    box.x,
    box.y,
    box.width,
    box.height,
    Math.min(10, box.width * 0.1),
  );
  context.lineWidth = width;
  context.strokeStyle = color;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}
