import { inLanguages } from '../../words'

export const words = inLanguages({
  en: { title: 'Promises' },
  uz: { title: 'Va’dalar' },
  ru: { title: 'Обещания' },
})
