// W = I + E, the eigenvectors of a nearly diagonal A to first order:
//
//   e_ij = a_ij / (a_jj - a_ii)   where the entry is small against the gap, else 0
//
// It does the work of the last sweep for one matrix product; V W is then polished. Rows whose
// corrections add up to more than the polish mends are left alone, for the sweeps. Joined with
// gap.wgsl.
//
// Source: Rayleigh-Schroedinger perturbation; the separation of close eigenvalues as in Ogita and
// Aishima 2019.

struct Params {
  side: u32,
  correctable: f32,  // part of the gap
}

@group(0) @binding(0) var<storage, read> a: array<f32>;        // [batch, side, side]
// [batch, side], of convergence.wgsl: z has the squares of the row of E.
@group(0) @binding(1) var<storage, read> row_squares: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;  // [batch, side, side]
@group(0) @binding(3) var<uniform> params: Params;

// Largest squared norm of a row of E. |E|_2 is seldom above twice the norm, a quarter, of which the
// polish leaves V^T V - I = 3/4 |E|^4 = 5e-3: the next polish mends that. (With 0.06 a start far off
// was lost.)
const MAX_TURN_SQUARED = 0.02;

@compute @workgroup_size(16, 16)
fn first_order(@builtin(global_invocation_id) id: vec3u) {
  let side = params.side;
  if (id.x >= side || id.y >= side) { return; }
  let matrix = id.z * side * side;
  let value = a[matrix + id.y * side + id.x];
  let gap = a[matrix + id.x * (side + 1)] - a[matrix + id.y * (side + 1)];
  let turn = max(row_squares[id.z * side + id.x].z, row_squares[id.z * side + id.y].z);
  let is_small = is_correctable(value, gap, params.correctable) && turn <= MAX_TURN_SQUARED;
  var e = select(0.0, 1.0, id.x == id.y);
  if (id.x != id.y && value != 0.0 && is_small) { e = small_angle(value, gap); }
  w[matrix + id.y * side + id.x] = e;
}
