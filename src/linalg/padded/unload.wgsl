// Copies results out of a padded batch: target = 2^(power * exponent) * x, cropped to size x size.

override LOWER: bool = false;  // zeros above the diagonal, whatever x holds there

struct Params {
  size: u32,
  side: u32,
  target_at: u32,  // element at which the first target matrix starts
  first: u32,      // place of the first matrix in the batch
  power: f32,      // 1 for an inverse, 1/p for a p-th root, 0 for eigenvectors
}

@group(0) @binding(0) var<storage, read> x: array<f32>;  // [batch, side, side]
@group(0) @binding(1) var<storage, read> states: array<MatrixState>;
@group(0) @binding(2) var<storage, read_write> results: array<f32>;  // [.., size, size]
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(16, 16)
fn unload(@builtin(global_invocation_id) id: vec3u) {
  let i = id.y;
  let j = id.x;
  if (i >= params.size || j >= params.size) { return; }

  let place = params.first + id.z;
  let factor = power_of_two(round(params.power * states[place].exponent));
  var value = factor * x[(place * params.side + i) * params.side + j];
  if (LOWER && j > i) { value = 0.0; }
  results[params.target_at + (id.z * params.size + i) * params.size + j] = value;
}
