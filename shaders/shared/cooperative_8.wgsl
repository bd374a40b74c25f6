// Types of cooperative matrices of 8 by 8, with factors in half precision and sums in single precision.

const SIDE: u32 = 8u;
alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Sum = coop_mat8x8<f32, C>;
