export { withEvents } from './with-events.js';
