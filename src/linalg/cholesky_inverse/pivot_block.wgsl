// Before the block steps: the first block on the diagonal is factored. Joined with pivot.wgsl.

@compute @workgroup_size(16, 16)
fn pivot_block(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
) {
  let quads = params.row_quads;
  let at = group.z * quads * quads * 4 + 4 * lane.y * quads + lane.x;
  factor_block(Block(b[at], b[at + quads], b[at + 2 * quads], b[at + 3 * quads]), group.z, 0, lane.xy);
}
