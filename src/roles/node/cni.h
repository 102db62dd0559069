/* cni.h - the CNI plugin's entrance: the one header of this role that the commands use.
 *
 * containerd runs the binary with CNI_COMMAND in its environment and the network configuration
 * on standard input. CNI specification 1.0.0 (and results in the form of 0.3.0 to 0.4.0).
 */
#pragma once

/* Returns the exit status; the result or the error is JSON on standard output. */
int cni_main(void);
