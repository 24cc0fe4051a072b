/* image.h -- an image as a row of numbers: planes of rows */
#ifndef DSC_IMAGE_H
#define DSC_IMAGE_H

#include <stddef.h>

typedef struct {
    size_t channels, height, width;
} dsc_image;

#endif
