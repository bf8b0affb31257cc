// Ends of pods over the last minutes, a column each two seconds.

const COLUMNS = 150;
const STEP = 2000;

export function chart(canvas, caption) {
  const good = new Array(COLUMNS).fill(0);
  const bad = new Array(COLUMNS).fill(0);
  let since = Date.now();

  function shift() {
    let moved = false;
    while (Date.now() - since >= STEP) {
      since += STEP;
      for (const column of [good, bad]) { column.push(0); column.shift(); }
      moved = true;
    }
    return moved;
  }

  function draw() {
    const width = canvas.clientWidth;
    const height = 48;
    const scale = devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const context = canvas.getContext('2d');
    context.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    const most = Math.max(1, ...good.map((count, at) => count + bad[at]));
    const step = width / COLUMNS;
    for (let at = 0; at < COLUMNS; at += 1) {
      const [ok, not] = [good[at], bad[at]].map((count) => count / most * (height - 2));
      context.fillStyle = style.getPropertyValue('--good');
      context.fillRect(at * step, height - ok, Math.max(step - 1, 1), ok);
      context.fillStyle = style.getPropertyValue('--bad');
      context.fillRect(at * step, height - ok - not, Math.max(step - 1, 1), not);
    }
    context.fillStyle = style.getPropertyValue('--line');
    context.fillRect(0, height - 1, width, 1);
    const last = good.slice(-6, -1).reduce((sum, count) => sum + count, 0)
      + bad.slice(-6, -1).reduce((sum, count) => sum + count, 0);
    const text = `${(last / (5 * STEP / 1000)).toFixed(1)} pods/s lately; at most ${(most / (STEP / 1000)).toFixed(1)} in ${COLUMNS * STEP / 60_000} minutes`;
    caption.textContent = text;
    canvas.setAttribute('aria-label', `Pods ended a second: ${text}`);
  }

  setInterval(() => { if (shift() && !document.hidden) draw(); }, STEP / 2);
  addEventListener('resize', draw);
  draw();
  return {
    ended(succeeded, failed) {
      shift();
      good[COLUMNS - 1] += Math.max(succeeded, 0);
      bad[COLUMNS - 1] += Math.max(failed, 0);
    },
  };
}
