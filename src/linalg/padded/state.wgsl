// What is known of one matrix of a padded batch. The host reads it back with the results.
struct MatrixState {
  size: f32,           // d: rows before padding
  shift: f32,          // added to the diagonal, in the units of the matrix as it came
  exponent: f32,       // kernels work on 2^exponent * (M + shift I), whose largest entry is near 1
  failed: f32,         // pivots that were not positive
  residual: f32,       // |XM - I|_F / sqrt(d), or |MQ - Q Lambda|_F / |M|_F
  condition: f32,
  orthogonality: f32,  // |Q^T Q - I|_F / sqrt(d)
  sweeps: f32,         // Jacobi sweeps or Newton steps
  smallest: f32,       // eigenvalue, in the units of the matrix as it came
  negative: f32,       // eigenvalues below zero
  magnitude: f32,      // |X|_F of the scaled result: whether it fits float32 when scaled back
  norm: f32,           // |M|_F of the scaled matrix
  unsettled: f32,      // 1 while an iteration has not met its bound
  previous: f32,       // measure of the iteration before this one
  reserved: vec2f,
}

// 2^k for -126 <= k <= 127, exactly.
fn power_of_two(k: f32) -> f32 {
  return bitcast<f32>(u32(clamp(i32(k), -126, 127) + 127) << 23u);
}
