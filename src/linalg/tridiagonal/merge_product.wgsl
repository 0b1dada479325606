// Z_new^T = U^T Z^T for every merge: Z^T has two blocks of `half` on its diagonal, and what lies beside
// them is not read. Joined with merge.wgsl and tile_product.wgsl (QUADS = 16).

@group(0) @binding(0) var<storage, read> u: array<vec4f>;                    // [batch, side, side]
@group(0) @binding(1) var<storage, read> z_transposed: array<vec4f>;         // [batch, side, side]
@group(0) @binding(2) var<storage, read_write> z_transposed_new: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

// x: tiles of 64 components; y: merges, and tiles of 64 new vectors of each.
@compute @workgroup_size(16, 16)
fn merge_product(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let merge = merge_at(group.y / groups.x);
  let components = merge.start + 64 * group.x;
  let vectors = merge.start + 64 * (group.y % groups.x);
  if (components >= merge.end || vectors >= merge.end) { return; }

  let quads = params.side / 4;
  let matrix = group.z * params.side * quads;
  // Vectors that have such components: one block's, or both where a tile holds two blocks.
  let is_second = components >= merge.middle;
  let begin = select(merge.start, merge.middle, is_second);
  let end = select(max(merge.middle, components + 64), merge.end, is_second);

  var c: Block;
  for (var t0 = begin; t0 < min(end, merge.end); t0 += SLAB) {
    let t = t0 + lane.y;
    let column = components + 4 * lane.x;
    left_slab[index] = u[matrix + t * quads + vectors / 4 + lane.x];
    let is_in = (t < merge.middle) == (column < merge.middle);
    right_slab[index] = select(vec4f(0.0), z_transposed[matrix + t * quads + column / 4], is_in);
    workgroupBarrier();
    multiply_slabs(&c, lane.xy);
    workgroupBarrier();
  }

  let at = matrix + (vectors + 4 * lane.y) * quads + components / 4 + lane.x;
  z_transposed_new[at] = c[0];
  z_transposed_new[at + quads] = c[1];
  z_transposed_new[at + 2 * quads] = c[2];
  z_transposed_new[at + 3 * quads] = c[3];
}
