/** Imports a peer by name from this folder, where the peers are installed. */
export const load = (name) => import(name);
