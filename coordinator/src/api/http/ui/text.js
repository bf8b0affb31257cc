// Words and small pieces of the page.

/** An element; texts are texts, never markup. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'on') for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (name === 'style') element.style.cssText = value;
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return element;
}

export function duration(milliseconds) {
  if (!(milliseconds >= 0)) return '';
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${Math.floor(seconds % 60)} s`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} m`;
  return `${Math.floor(seconds / 86_400)} d`;
}

export const number = (value) => value.toLocaleString('en');

/** Bars of parts of a whole. */
export function meter(parts, whole, label) {
  const bars = parts.filter(([, count]) => count > 0).map(([kind, count]) =>
    el('i', { class: `s-${kind}`, style: `width:${Math.min(100, 100 * count / Math.max(whole, 1))}%` }));
  return el('div', { class: 'meter', role: 'img', 'aria-label': label, title: label }, bars);
}

/** A Job in numbers. */
export function readJob(job) {
  const { metadata, spec, status = {} } = job;
  const condition = (type) => (status.conditions ?? []).find((it) => it.type === type && it.status === 'True');
  const end = condition('Complete') ?? condition('Failed');
  const waiting = (status.conditions ?? []).find((it) => it.type.endsWith('/Waiting') && it.status === 'True');
  const state = condition('Complete') ? 'Complete' : condition('Failed') ? 'Failed'
    : metadata.deletionTimestamp ? 'Terminating' : condition('Suspended') ? 'Suspended'
    : waiting ? 'Waiting' : condition('FailureTarget') ? 'Failing' : 'Running';
  return {
    uid: metadata.uid, name: metadata.name, namespace: metadata.namespace, state,
    why: (condition('Failed') ?? condition('FailureTarget') ?? waiting)?.message,
    indexed: spec.completionMode === 'Indexed',
    completions: spec.completions, parallelism: spec.parallelism ?? 0,
    active: status.active ?? 0, ready: status.ready ?? 0,
    succeeded: status.succeeded ?? 0, failed: status.failed ?? 0,
    created: Date.parse(metadata.creationTimestamp),
    started: status.startTime ? Date.parse(status.startTime) : undefined,
    ended: end ? Date.parse(end.lastTransitionTime) : undefined,
    completedIndexes: status.completedIndexes ?? '', failedIndexes: status.failedIndexes ?? '',
  };
}

export const isOpen = (job) => job.ended === undefined;

export function stateText(job) {
  const kind = { Complete: 't-good', Failed: 't-bad', Failing: 't-bad' }[job.state] ?? '';
  return el('span', { class: kind, title: job.why }, job.state);
}

/** A pod's times, exact where the API tells them so. */
export function readTimes(pod) {
  const said = pod.metadata.annotations?.['stint.internal/times'] ?? '';
  const times = {};
  for (const word of said.split(' ')) {
    const [name, at] = word.split('=');
    if (at) times[name] = Date.parse(at);
  }
  times.created ??= Date.parse(pod.metadata.creationTimestamp);
  return times;
}

/** Why a pod failed, in few words. */
export function reasonOf(pod) {
  const { status } = pod;
  if (status.reason) return status.reason;
  const ends = [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])]
    .map((container) => container.state?.terminated).filter((end) => end && end.exitCode !== 0);
  const [end] = ends;
  if (!end) return status.phase;
  if (end.signal) return `signal ${end.signal}`;
  return end.reason && end.reason !== 'Error' ? `${end.reason} (exit code ${end.exitCode})` : `exit code ${end.exitCode}`;
}
