// Copies matrices of one size into a padded batch: m = (M + M^T) / 2, zero outside.
//
// The mean with the transpose makes what is nearly symmetric symmetric to the bit, and changes
// nothing else.

struct Params {
  size: u32,      // d of the source matrices
  side: u32,      // of the padded ones
  source: u32,    // element at which the first source matrix starts
  first: u32,     // place of the first matrix in the batch
  shift_at: u32,  // place of the first shift
}

@group(0) @binding(0) var<storage, read> source: array<f32>;  // [.., size, size]
@group(0) @binding(1) var<storage, read> shifts: array<f32>;
@group(0) @binding(2) var<storage, read_write> m: array<f32>;  // [batch, side, side]
@group(0) @binding(3) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(16, 16)
fn load(@builtin(global_invocation_id) id: vec3u) {
  let i = id.y;
  let j = id.x;
  if (i >= params.side || j >= params.side) { return; }

  let size = params.size;
  var value = 0.0;
  if (i < size && j < size) {
    let origin = params.source + id.z * size * size;
    value = 0.5 * source[origin + i * size + j] + 0.5 * source[origin + j * size + i];
  }
  let place = params.first + id.z;
  m[(place * params.side + i) * params.side + j] = value;

  if (i == 0 && j == 0) {
    states[place] = MatrixState();
    states[place].size = f32(size);
    states[place].shift = shifts[params.shift_at + id.z];
  }
}
