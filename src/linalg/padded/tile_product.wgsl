// The product of two tiles, C += L^T R, the heart of the blocked algorithms.
//
// A workgroup of QUADS x QUADS invocations owns a tile of C, 4 * QUADS on a side; an invocation
// owns 4 x 4 of it, row r being c[r]. L and R pass through workgroup memory in slabs of SLAB rows,
// both read along their rows, so that every load is one aligned vector of four.

override QUADS: u32;
// All overrides come first: naga 29 fails on one that follows an array it sizes.
override TILE = 4 * QUADS;

const SLAB = 16u;

var<workgroup> left_slab: array<vec4f, SLAB * QUADS>;   // L[t, i], quads of i for each t
var<workgroup> right_slab: array<vec4f, SLAB * QUADS>;  // R[t, j]

alias Block = array<vec4f, 4>;

// Adds the product of the slabs. Barriers before and after are the caller's.
fn multiply_slabs(c: ptr<function, Block>, lane: vec2u) {
  for (var t = 0u; t < SLAB; t++) {
    let l = left_slab[t * QUADS + lane.y];
    let r = right_slab[t * QUADS + lane.x];
    (*c)[0] = fma(vec4f(l.x), r, (*c)[0]);
    (*c)[1] = fma(vec4f(l.y), r, (*c)[1]);
    (*c)[2] = fma(vec4f(l.z), r, (*c)[2]);
    (*c)[3] = fma(vec4f(l.w), r, (*c)[3]);
  }
}
