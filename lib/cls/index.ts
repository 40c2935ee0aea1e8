export { type ClsKey, clsPropagator, type ClsPropagatorOptions } from './cls-propagator.js';
