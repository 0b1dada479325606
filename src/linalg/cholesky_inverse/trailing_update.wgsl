// Step 3 of a block step: B_ij <- B_ij - B_ki^T B_kj for every block row i > k.
//
// Left of column k this carries L^-1 along (B_ij starts as zero at j = k, where D stands in for
// B_kj); from the diagonal on it is the trailing update of Cholesky, kept in the upper triangle.
// Blocks with k < j < i belong to neither. Joined with tile_product.wgsl (QUADS = 16).

struct Params {
  row_quads: u32,  // side / 4
  step: u32,       // k, in blocks of 64
}

@group(0) @binding(0) var<storage, read_write> b: array<vec4f>;  // [batch, side, side]
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(16, 16)
fn trailing_update(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let k = params.step;
  let i = k + 1 + group.y;
  let j = group.x;
  if (j > k && j < i) { return; }

  let quads = params.row_quads;
  let matrix = group.z * quads * quads * 4;
  let row_k = matrix + k * 64 * quads;

  var c: Block;
  for (var t0 = 0u; t0 < 64; t0 += SLAB) {
    let origin = row_k + (t0 + lane.y) * quads + lane.x;
    left_slab[index] = b[origin + i * 16];
    right_slab[index] = b[origin + j * 16];
    workgroupBarrier();
    multiply_slabs(&c, lane.xy);
    workgroupBarrier();
  }

  let at = matrix + (i * 64 + lane.y * 4) * quads + j * 16 + lane.x;
  for (var r = 0u; r < 4; r++) {
    let before = select(b[at + r * quads], vec4f(0.0), j == k);
    b[at + r * quads] = before - c[r];
  }
}
