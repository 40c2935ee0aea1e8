import { V7Generator } from 'uuidv7';

/** To ask the system for numbers takes longer than to make an id of them, so it is asked for many at once. */
const numbers = new Uint32Array(1_024);
let next = numbers.length;

const generator = new V7Generator({
  nextUint32: () => {
    if (next === numbers.length) {
      crypto.getRandomValues(numbers);
      next = 0;
    }
    return numbers[next++];
  },
});

/** Makes the id of a run's deliveries: a UUID that is greater than those made before in this process. */
export const newId = (): string => generator.generate().toString();
