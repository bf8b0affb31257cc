// One Job: how far it is, its indexes as cells, and what became of the one that is chosen.

import { jobs } from './app.js';
import { watch } from './api.js';
import { showCell } from './cell.js';
import { AGAIN, BAD, GOOD, grid, NONE, ranges, RUN, WAIT } from './grid.js';
import { duration, el, number, reasonOf, stateText } from './text.js';

const MOST_CELLS = 200_000;
const INDEX = 'batch.kubernetes.io/job-completion-index';
const LEGEND = [[GOOD, 'good', 'succeeded'], [RUN, 'run', 'runs'], [WAIT, 'wait', 'waits'], [BAD, 'bad', 'failed'], [NONE, 'none', 'not started']];

export function showJob(main, namespace, name) {
  const head = el('div');
  const legend = el('div', { class: 'legend' });
  const field = el('div', { class: 'field' });
  const cell = el('aside', { id: 'cell', 'aria-live': 'polite', hidden: true });
  const split = el('div', { class: 'split alone' }, el('div', {}, legend, field), cell);
  main.replaceChildren(head, split);

  let view;
  let uid;
  let stop = () => {};
  let closeCell = () => {};
  const open = new Map();
  const failed = new Map();

  function pick(index) {
    cell.hidden = false;
    split.classList.remove('alone');
    closeCell();
    closeCell = showCell(cell, { namespace, name, uid, index, indexed: job().indexed });
    // Below the cells, where there is no room beside them.
    if (innerWidth <= 900) cell.scrollIntoView({ block: 'nearest' });
  }

  const job = () => [...jobs.all.values()].find((it) => it.namespace === namespace && it.name === name);

  /** Pods that have not succeeded: of the others the Job itself tells. */
  function begin(it) {
    stop();
    open.clear(); failed.clear();
    uid = it.uid;
    const count = Math.min(it.indexed ? it.completions : Math.max(it.completions ?? 0, it.succeeded + it.failed + it.active), MOST_CELLS);
    view?.close();
    view = count > 0 ? grid(field, count, pick) : undefined;
    if (!view) field.replaceChildren(el('p', { class: 'note' }, 'It has no pods yet.'));
    const params = { labelSelector: `batch.kubernetes.io/controller-uid=${uid}`, fieldSelector: 'status.phase!=Succeeded' };
    stop = watch(`/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`, params, {
      reset(items) { open.clear(); failed.clear(); for (const pod of items) take(pod); draw(); },
      change(events) {
        for (const { type, object } of events) {
          if (type === 'DELETED') { open.delete(object.metadata.uid); failed.delete(object.metadata.uid); } else take(object);
        }
        draw();
      },
      failed(error) { field.replaceChildren(el('p', { class: 'note' }, error.message)); },
    });
  }

  function take(pod) {
    const { uid: id, annotations } = pod.metadata;
    const index = Number(annotations?.[INDEX] ?? -1);
    if (pod.status.phase === 'Failed') { open.delete(id); failed.set(id, { index, reason: reasonOf(pod) }); } else open.set(id, { index, phase: pod.status.phase });
  }

  function colour(it) {
    const { cells } = view;
    cells.fill(NONE);
    if (!it.indexed) {
      // Without indexes: as many cells of each kind as there are pods.
      const parts = [[it.succeeded, GOOD], [it.failed, BAD], [it.ready, RUN], [it.active - it.ready, WAIT]];
      let at = 0;
      for (const [count, state] of parts) { cells.fill(state, at, at + Math.max(count, 0)); at += Math.max(count, 0); }
      return;
    }
    const failedOnce = new Set([...failed.values()].map(({ index }) => index));
    for (const index of failedOnce) if (index >= 0) cells[index] = AGAIN;
    for (const { index, phase } of open.values()) {
      if (index >= 0) cells[index] = failedOnce.has(index) ? AGAIN : phase === 'Running' ? RUN : WAIT;
    }
    for (const [first, last] of ranges(it.completedIndexes)) cells.fill(GOOD, first, last + 1);
    for (const [first, last] of ranges(it.failedIndexes)) cells.fill(BAD, first, last + 1);
    // Nothing is tried again once the Job has ended.
    if (it.ended !== undefined) cells.forEach((state, index) => { if (state === AGAIN) cells[index] = BAD; });
  }

  let asked = false;
  function draw() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; drawNow(); });
  }

  function drawNow() {
    const it = job();
    if (!it) {
      head.replaceChildren(el('h1', {}, `${namespace}/${name}`), el('p', { class: 'note' }, jobs.error?.message ?? (jobs.known ? 'There is no such Job.' : 'Loading…')));
      legend.replaceChildren();
      return;
    }
    const grown = view && !it.indexed && it.succeeded + it.failed + it.active > view.cells.length;
    if (it.uid !== uid || grown || (!view && it.active > 0)) begin(it);
    head.replaceChildren(...about(it, failed));
    if (!view) return;
    colour(it);
    view.draw();
    const counts = view.counts();
    counts[BAD] += counts[AGAIN];
    legend.replaceChildren(...LEGEND.map(([state, kind, word]) =>
      el('span', {}, el('i', { class: `s-${kind}` }), `${number(counts[state])} ${word}`)));
  }

  jobs.listeners.add(draw);
  const clock = setInterval(draw, 5000);
  drawNow();
  return () => { jobs.listeners.delete(draw); clearInterval(clock); stop(); closeCell(); view?.close(); };
}

function about(it, failed) {
  const facts = [
    ['State', stateText(it)],
    ['Complete', it.completions === undefined ? number(it.succeeded) : `${number(it.succeeded)} of ${number(it.completions)}`],
    ['Parallelism', number(it.parallelism)],
    ['Active', `${number(it.active)} (${number(it.ready)} ready)`],
    ['Failed', number(it.failed)],
    ['Time', duration((it.ended ?? Date.now()) - (it.started ?? it.created))],
  ];
  const reasons = new Map();
  for (const { reason } of failed.values()) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const told = [...reasons].sort(([, one], [, other]) => other - one).slice(0, 4).map(([reason, count]) => `${number(count)} × ${reason}`);
  return [
    el('h1', {}, el('span', { class: 't-soft' }, `${it.namespace}/`), it.name),
    el('dl', { class: 'facts' }, facts.map(([term, value]) => el('div', {}, el('dt', {}, term), el('dd', {}, value)))),
    it.why ? el('p', { class: 't-bad' }, it.why) : undefined,
    told.length ? el('p', { class: 'note' }, `Failures: ${told.join(', ')}`) : undefined,
  ].filter(Boolean);
}
