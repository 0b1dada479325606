// Step 2 of a block step: B_ij <- B_ij - B_ki^T B_kj for every block row i > k.
//
// Left of column k this carries L^-1 along (B_ij starts as zero at j = k, where D stands in for
// B_kj); from the diagonal on it is the trailing update of Cholesky, kept in the upper triangle.
// Blocks with k < j < i belong to neither.
//
// The workgroup of the next block on the diagonal factors it at once, while the others are still at
// work. Joined with tile_product.wgsl (QUADS = 16) and pivot.wgsl.

@compute @workgroup_size(16, 16)
fn trailing_update(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let k = params.step;
  // The next block on the diagonal is the first to begin: its work is the longest.
  let next = k + 1;
  let is_pivot = group.x == 0 && group.y == 0;
  var i = next + group.y;
  var j = group.x;
  if (is_pivot) { j = next; } else if (group.y == 0 && group.x == next) { j = 0; }
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
  if (j != k) {
    c[0] = b[at] - c[0];
    c[1] = b[at + quads] - c[1];
    c[2] = b[at + 2 * quads] - c[2];
    c[3] = b[at + 3 * quads] - c[3];
  } else {
    c = Block(-c[0], -c[1], -c[2], -c[3]);
  }
  if (is_pivot) {
    factor_block(c, group.z, next, lane.xy);
    return;
  }
  b[at] = c[0];
  b[at + quads] = c[1];
  b[at + 2 * quads] = c[2];
  b[at + 3 * quads] = c[3];
}
