import { inLanguages } from '../../words'

export const words = inLanguages({
  en: { title: 'Agencies' },
  uz: { title: 'Idoralar' },
  ru: { title: 'Ведомства' },
})
