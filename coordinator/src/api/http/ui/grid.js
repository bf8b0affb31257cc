// A cell for each index on one canvas: 10^5 of them are drawn within a frame.

export const STATES = ['none', 'wait', 'run', 'good', 'bad', 'again'];
export const [NONE, WAIT, RUN, GOOD, BAD, AGAIN] = STATES.keys();
const GAP = 1;

/** "0,3-7" as pairs. */
export function ranges(text) {
  return text.split(',').filter(Boolean).map((part) => {
    const [first, last = first] = part.split('-').map(Number);
    return [first, last];
  });
}

/** Cells in the width of `field`; `pick(index)` is called for the one that is chosen. */
export function grid(field, count, pick) {
  const canvas = document.createElement('canvas');
  canvas.tabIndex = 0;
  canvas.setAttribute('role', 'grid');
  field.replaceChildren(canvas);
  const cells = new Uint8Array(count);
  let drawn;
  let size = 0;
  let columns = 1;
  let cursor = 0;
  let asked = false;

  function layout() {
    const width = Math.max(field.clientWidth - 18, 40);
    const next = count <= 400 ? 22 : count <= 3000 ? 14 : count <= 20_000 ? 8 : 5;
    const wide = Math.max(1, Math.floor(width / next));
    if (next === size && wide === columns && drawn) return;
    [size, columns] = [next, wide];
    const rows = Math.ceil(count / columns);
    const scale = devicePixelRatio || 1;
    canvas.style.width = `${columns * size}px`;
    canvas.style.height = `${rows * size}px`;
    canvas.width = Math.round(columns * size * scale);
    canvas.height = Math.round(rows * size * scale);
    drawn = undefined;
  }

  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    return [of('--none'), of('--wait'), of('--run'), of('--good'), of('--bad'), of('--wait')];
  };

  function paint() {
    asked = false;
    layout();
    const context = canvas.getContext('2d');
    const scale = devicePixelRatio || 1;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const palette = colours();
    // Cells of a state together, and only those that changed.
    const of = palette.map(() => []);
    for (let index = 0; index < count; index += 1) {
      if (!drawn || drawn[index] !== cells[index]) of[cells[index]].push(index);
    }
    const inner = size - GAP;
    of.forEach((indexes, state) => {
      if (indexes.length === 0) return;
      context.fillStyle = palette[state];
      for (const index of indexes) {
        context.fillRect((index % columns) * size, Math.floor(index / columns) * size, inner, inner);
      }
      if (state === AGAIN) {
        // It failed, and is tried again.
        context.fillStyle = palette[BAD];
        for (const index of indexes) {
          context.fillRect((index % columns) * size, Math.floor(index / columns) * size, inner, Math.ceil(inner / 3));
        }
      }
    });
    drawn = cells.slice();
    if (document.activeElement === canvas) mark(context);
  }

  function mark(context) {
    const style = getComputedStyle(document.documentElement);
    context.strokeStyle = style.getPropertyValue('--text');
    context.lineWidth = 2;
    context.strokeRect((cursor % columns) * size, Math.floor(cursor / columns) * size, size - GAP, size - GAP);
    // What the frame covers is drawn anew when it has moved.
    for (const near of [0, -1, 1, -columns, columns, -columns - 1, columns + 1, columns - 1, 1 - columns]) {
      if (drawn[cursor + near] !== undefined) drawn[cursor + near] = 255;
    }
  }

  const later = () => { if (!asked) { asked = true; requestAnimationFrame(paint); } };

  function move(to) {
    cursor = Math.min(Math.max(to, 0), count - 1);
    canvas.setAttribute('aria-label', `Index ${cursor} of ${count}: ${words[cells[cursor]]}. Arrow keys move, Enter opens.`);
    const top = Math.floor(cursor / columns) * size;
    if (top < field.scrollTop) field.scrollTop = top;
    if (top + size > field.scrollTop + field.clientHeight) field.scrollTop = top + size - field.clientHeight;
    later();
  }

  canvas.addEventListener('keydown', (event) => {
    const page = columns * Math.max(1, Math.floor(field.clientHeight / size));
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page, PageDown: page }[event.key];
    if (step) { event.preventDefault(); move(cursor + step); }
    if (event.key === 'Home') { event.preventDefault(); move(0); }
    if (event.key === 'End') { event.preventDefault(); move(count - 1); }
    if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); pick(cursor); }
  });
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / size);
    const index = Math.floor((event.clientY - box.top) / size) * columns + column;
    return column < columns && index >= 0 && index < count ? index : undefined;
  };
  canvas.addEventListener('click', (event) => {
    const index = at(event);
    if (index !== undefined) { move(index); pick(index); }
  });
  canvas.addEventListener('mousemove', (event) => {
    const index = at(event);
    canvas.title = index === undefined ? '' : `${index}: ${words[cells[index]]}`;
  });
  for (const event of ['focus', 'blur']) canvas.addEventListener(event, () => { drawn = undefined; later(); });
  const resized = new ResizeObserver(later);
  resized.observe(field);
  move(0);

  return {
    cells,
    draw: later,
    counts() {
      const counts = new Array(STATES.length).fill(0);
      for (const cell of cells) counts[cell] += 1;
      return counts;
    },
    close: () => resized.disconnect(),
  };
}

const words = ['not started', 'waits', 'runs', 'succeeded', 'failed', 'failed, and is tried again'];
