// Where the divide and conquer begins: a tridiagonal matrix is torn into leaves of 32, each a small
// matrix by itself.
//
//   T = diag(T_1, T_2) + |beta| u u^T: where beta couples two leaves, the diagonal on both sides
//   loses |beta|
//
// A leaf's small entries are measured by the norm of the whole. Joined with state.wgsl.

struct Params {
  side: u32,
}

@group(0) @binding(0) var<storage, read> tridiagonal: array<vec4f>;          // [batch, side]: d, e
@group(0) @binding(1) var<storage, read> states: array<MatrixState>;   // [batch]
@group(0) @binding(2) var<storage, read_write> leaf_states: array<MatrixState>;  // [batch, leaves]
@group(0) @binding(3) var<storage, read_write> leaves: array<f32>;           // [batch, leaves, 32, 32]
@group(0) @binding(4) var<uniform> params: Params;

const LANES = 64u;
const LEAF = 32u;

@compute @workgroup_size(LANES)
fn tear(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let leaf = group.z * groups.x + group.x;
  let first = group.z * params.side + group.x * LEAF;
  for (var cell = lane; cell < LEAF * LEAF; cell += LANES) {
    let i = cell / LEAF;
    let j = cell % LEAF;
    var value = 0.0;
    if (i == j) {
      value = tridiagonal[first + i].x;
      if (i == 0 && group.x > 0) { value -= abs(tridiagonal[first - 1].y); }
      if (i == LEAF - 1 && group.x + 1 < groups.x) { value -= abs(tridiagonal[first + i].y); }
    } else if (max(i, j) - min(i, j) == 1) {
      value = tridiagonal[first + min(i, j)].y;
    }
    leaves[leaf * LEAF * LEAF + cell] = value;
  }
  if (lane == 0) {
    leaf_states[leaf] = MatrixState();
    leaf_states[leaf].norm = states[group.z].norm;
    leaf_states[leaf].unsettled = 1.0;
  }
}
