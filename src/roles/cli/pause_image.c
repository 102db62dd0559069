/* The sandbox image, carried inside the program so that one file is all there is to install. */
extern const char pause_image_start[], pause_image_end[];

__asm__(".section .rodata\n"
	".global pause_image_start, pause_image_end\n"
	".balign 16\n"
	"pause_image_start:\n"
	".incbin \"" PAUSE_IMAGE_TAR "\"\n"
	"pause_image_end:\n"
	".byte 0\n"
	".previous\n");
