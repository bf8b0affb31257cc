// Workers and how much they run.

import { list, watch } from './api.js';
import { duration, el, meter, number } from './text.js';

const EVERY = 2000;
// Pods that a worker has and that have not ended. One that is short is never seen to run.
const TAKEN = 'status.phase!=Succeeded,status.phase!=Failed,spec.nodeName!=';
const COLUMNS = ['Worker', 'State', 'Load', 'Pods', 'CPU', 'Memory', 'Age', 'Machine'];

export function showWorkers(main) {
  const nodes = new Map();
  let load = new Map();
  let whole = true;
  const body = el('tbody');
  const note = el('p', { class: 'note', role: 'status' }, 'Loading…');
  main.replaceChildren(el('h1', {}, 'Workers'),
    el('table', {}, el('thead', {}, el('tr', {}, COLUMNS.map((name) => el('th', { scope: 'col' }, name)))), body), note);

  function draw() {
    const sorted = [...nodes.values()].sort((one, other) => one.metadata.name.localeCompare(other.metadata.name));
    body.replaceChildren(...sorted.map((node) => row(node, load.get(node.metadata.name) ?? 0)));
    note.textContent = nodes.size === 0 ? 'There is no worker.' : whole ? '' : 'Only the first pods were counted.';
  }

  const stop = watch('/api/v1/nodes', {}, {
    reset(items) { nodes.clear(); for (const node of items) nodes.set(node.metadata.name, node); draw(); },
    change(events) {
      for (const { type, object } of events) {
        if (type === 'DELETED') nodes.delete(object.metadata.name); else nodes.set(object.metadata.name, object);
      }
      draw();
    },
    failed(error) { note.textContent = error.message; },
  });

  // Counted by looking: a watch of all pods of a busy fleet would be a flood.
  let over = false;
  async function look() {
    while (!over) {
      try {
        const answer = await list('/api/v1/pods', { fieldSelector: TAKEN }, 20);
        whole = answer.whole;
        load = new Map();
        for (const pod of answer.items) load.set(pod.spec.nodeName, (load.get(pod.spec.nodeName) ?? 0) + 1);
        if (!over) draw();
      } catch (error) {
        if (!over) note.textContent = error.message;
      }
      await new Promise((done) => { setTimeout(done, EVERY); });
    }
  }
  look();
  return () => { over = true; stop(); };
}

function row(node, running) {
  const ready = node.status.conditions?.find((it) => it.type === 'Ready');
  const places = Number(
    node.metadata.annotations?.['stint.internal/places'] ?? node.status.capacity?.pods ?? 0,
  );
  const state = ready?.status !== 'True' ? el('span', { class: 't-bad', title: ready?.message }, 'not ready')
    : node.spec?.unschedulable ? el('span', { class: 't-soft' }, 'cordoned') : el('span', { class: 't-good' }, 'ready');
  const memory = Number.parseInt(node.status.capacity?.memory ?? '0', 10);
  const cells = [
    el('td', { class: 'name' }, node.metadata.name),
    el('td', {}, state),
    el('td', {}, meter([['run', running]], places, `${running} of ${places} places`)),
    el('td', { class: 'number' }, `${number(running)} / ${number(places)}`),
    el('td', { class: 'number' }, node.status.capacity?.cpu ?? ''),
    el('td', { class: 'number' }, memory ? `${(memory / 1_048_576).toFixed(1)} GiB` : ''),
    el('td', { class: 'number' }, duration(Date.now() - Date.parse(node.metadata.creationTimestamp))),
    el('td', {}, node.status.nodeInfo?.osImage ?? ''),
  ];
  cells.forEach((cell, at) => cell.setAttribute('data-label', COLUMNS[at]));
  return el('tr', {}, cells);
}
