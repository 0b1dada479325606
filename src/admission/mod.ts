/** Who may come in, and whose turn it is. @module */
export { Admission, type AdmissionFacts, type AdmissionOptions, type Claim } from "./admission.ts";
export { type Place } from "./place.ts";
export { type Priority } from "./waiting_line.ts";
