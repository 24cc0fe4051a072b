/* real.h -- the number that training calculates in
 *
 * float in the program. A second build with -DDSC_REAL=double lets the tests compare gradients with
 * central differences to more digits than a float has. */
#ifndef DSC_REAL_H
#define DSC_REAL_H

#ifndef DSC_REAL
#define DSC_REAL float
#endif

typedef DSC_REAL dsc_real;

#endif
