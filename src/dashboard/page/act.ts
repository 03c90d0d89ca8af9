import type { About } from '../api.js';
import { post } from './client.js';
import { button, element, labelled, part } from './dom.js';

/** What may be done to the search, each after one question. The token stays in the page's memory. */
export function showActions({ actions, parameters, filler, start }: About): void {
  const place = part('actions');
  if (!actions) {
    const text =
      'This dashboard only shows. Started with ATMOS_FLEET_DASHBOARD_TOKEN, it also stops the fleet, retries errors and adds points.';
    place.append(element('p', { class: 'quiet' }, text));
    return;
  }
  const token = element('input', { type: 'password', autocomplete: 'off', id: 'token' });
  const said = element('p', { role: 'status', id: 'said', class: 'quiet' });
  const act = async (question: string, name: string, body: unknown) => {
    if (!(await asked(question))) return;
    try {
      said.textContent = (await post<{ said: string }>(`/api/actions/${name}`, body, token.value)).said;
    } catch (error) {
      said.textContent = `Not done: ${(error as Error).message}`;
    }
  };
  const kill = (how: string, question: string) => () => void act(question, 'kill', { how });
  const values = parameters
    .filter((name) => name !== filler)
    .map(
      (name) =>
        [
          name,
          element('input', {
            type: 'number',
            step: 'any',
            min: '0',
            value: String(start[name]),
            'data-parameter': name,
          }),
        ] as const,
    );
  const point = () => Object.fromEntries(values.map(([name, { value }]) => [name, Number(value)]));
  const tokenForm = element('form', { class: 'actions' }, labelled('Token', token), said);
  tokenForm.addEventListener('submit', (event) => event.preventDefault());
  place.append(
    tokenForm,
    element(
      'div',
      { class: 'actions' },
      button('Drain', kill('drain', 'Drain the fleet? Running points finish, no new ones start, every role ends.')),
      button(
        'Stop now',
        kill('now', 'Stop the fleet now? Every role ends within seconds; running points go back to the queue.'),
        'danger',
      ),
      button('Lift the kill switch', kill('lift', 'Lift the kill switch? Roles that ended have to be started again.')),
      button('Retry errors', () => void act('Put all errored points back into the queue?', 'retry', {})),
    ),
    element(
      'div',
      { class: 'actions' },
      ...values.map(([name, input]) => labelled(name, input)),
      button(
        'Add the point',
        () => void act('Add this point as another root of the search?', 'point', { values: point() }),
      ),
      filler ? element('p', { class: 'quiet' }, `${filler} takes the rest.`) : null,
    ),
  );
}

/** Asks once; Escape means no. */
function asked(question: string): Promise<boolean> {
  const dialog = part('ask') as HTMLDialogElement;
  part('ask-text').textContent = question;
  return new Promise((resolve) => {
    const end = (answer: boolean) => () => {
      part('ask-yes').removeEventListener('click', yes);
      part('ask-no').removeEventListener('click', no);
      dialog.removeEventListener('cancel', no);
      dialog.close();
      resolve(answer);
    };
    const [yes, no] = [end(true), end(false)];
    part('ask-yes').addEventListener('click', yes);
    part('ask-no').addEventListener('click', no);
    dialog.addEventListener('cancel', no);
    dialog.showModal();
  });
}
